"""Explorers with stored frames, on the site: every way of moving them, links, reasons and reset."""

import pytest
from visits import CHAPTERS, WIDTHS, Visit

# What an explorer shows, and what it says that it shows
CONTENT = """(box) => {
  const p = box.querySelector('.memnb-plot');
  return JSON.stringify([p.data, p.layout.annotations, p.layout.xaxis.title, p.layout.shapes]);
}"""
STATE = "(box) => box.getAttribute('aria-label')"
DRAWN = "(box) => Number(box.querySelector('.memnb-plot').dataset.drawn)"
MARKS = """(box) => box.querySelectorAll('.cartesianlayer :is(.point, .points path, .js-line,'
  + ' .js-fill, .heatmaplayer image)').length"""
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
ALLOWED = ":is(input[type=radio], option):not(:disabled)"
READY = """() => [...document.querySelectorAll('.memnb-explorer .memnb-plot')]
  .every((p) => p.dataset.drawn)"""


class Box:
    """An explorer on an open page."""

    def __init__(self, page, element):
        self.page, self.element = page, element

    def __getattr__(self, name):
        script = {"content": CONTENT, "state": STATE, "drawn": DRAWN, "marks": MARKS}[name]
        return self.element.evaluate(script)

    def after(self, action):
        """Do something that changes the state and wait for its frame."""
        state, drawn = self.state, self.drawn
        action()
        self.page.evaluate(FRAMES)  # the browser tells of a list's new value a little later
        if self.state != state:
            self.page.wait_for_function(
                f"([box, drawn]) => ({DRAWN})(box) > drawn", arg=[self.element, drawn]
            )
        assert self.marks > 0, self.state
        return self.state != state

    def button(self, text):
        return self.element.query_selector(f".memnb-buttons button:text-is('{text}')")

    def controls(self):
        """Name and element of each control; of buttons it is the field that holds them."""
        for element in self.element.query_selector_all(".memnb-controls > *"):
            yield element, element.evaluate("(e) => e.tagName") == "FIELDSET"


def explorers(visit):
    visit.scroll()
    visit.page.wait_for_function(READY)
    return [Box(visit.page, e) for e in visit.page.query_selector_all(".memnb-explorer")]


def ends(page, element, is_buttons):
    """Move a control to each of its ends by keyboard; yields what presses the keys."""
    if not is_buttons:
        one = element.query_selector("input, select")
        for key in ("Home", "End"):
            yield lambda key=key: (one.focus(), page.keyboard.press(key))
        return
    for place in (0, -1):
        allowed = element.query_selector_all("input:not(:disabled)")

        def press(place=place, allowed=allowed):
            at = next(k for k, e in enumerate(allowed) if e.evaluate("(e) => e.checked"))
            allowed[at].focus()
            steps = place % len(allowed) - at
            for _ in range(abs(steps)):
                page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")

        yield press


def move_each_control(page, box):
    """To both of its ends, which show different things, and back by Reset."""
    title = box.element.query_selector(".memnb-title").inner_text()
    start, content = box.state, box.content
    assert title and start.startswith(f"{title}: ")
    for control, is_buttons in box.controls():
        seen = {}
        for press in ends(page, control, is_buttons):
            box.after(press)
            seen[box.state] = box.content
        # Both ends can be had, unless all but one is disabled
        ends_here = 1 if len(control.query_selector_all(ALLOWED)) == 1 else 2
        assert len(seen) == len(set(seen.values())) == ends_here, (title, list(seen))
        if (reset := box.button("Reset")) and box.state != start:
            box.after(reset.click)
        assert box.state == start and box.content == content


def link(page, box):
    """The address that an explorer gives with all controls at their ends."""
    for control, is_buttons in box.controls():
        box.after(list(ends(page, control, is_buttons))[-1])
    box.button("Copy link").click()
    return page.evaluate("location.hash")


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_control_by_keyboard_and_links_that_restore(browser, site_url, page):
    url, moved = f"{site_url}/{page}.html", []
    with Visit(browser, url, 1280, 900) as visit:
        for box in explorers(visit):
            name = box.element.get_attribute("id").removeprefix("explorer-")
            move_each_control(visit.page, box)
            moved.append((name, link(visit.page, box), box.state, box.content))
        assert visit.complaints == []
    for name, address, state, content in moved:
        assert address.startswith(f"#{name}?")
        with Visit(browser, url + address, 1280, 900) as visit:
            element = visit.page.query_selector(f"#explorer-{name}")
            visit.page.wait_for_function(READY.replace(".memnb-explorer", f"#explorer-{name}"))
            box = Box(visit.page, element)
            assert box.state == state and box.content == content
            place = element.bounding_box()
            assert -20 <= place["y"] < 600, "the page did not scroll to its explorer"
            assert visit.complaints == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_control_by_keyboard_on_a_phone(browser, site_url, page):
    with Visit(browser, f"{site_url}/{page}.html", *WIDTHS["phone"]) as visit:
        for box in explorers(visit):
            move_each_control(visit.page, box)
        assert visit.complaints == []


FOUR = "notebooks/04-trained-denoisers"
ENDS = "#where-trained-flows-end"  # of a heading, too


def four(visit):
    visit.page.wait_for_function(READY)
    return Box(visit.page, visit.page.query_selector(".memnb-explorer"))


def test_what_makes_no_sense_in_an_address_is_ignored_or_moved(browser, site_url):
    with Visit(browser, f"{site_url}/{FOUR}.html{ENDS}?N=99&flow=none&x=1&S=", 1280, 900) as visit:
        state = four(visit).state
        assert "training points N 11," in state and "flow probability," in state
        assert "noise levels S 30," in state
    # Eight points were not trained in five dimensions: the nearest that there is
    with Visit(browser, f"{site_url}/{FOUR}.html{ENDS}?N=8&d=5", 1280, 900) as visit:
        box = four(visit)
        assert "training points N 5, dimension d 5," in box.state and box.marks > 0


def test_impossible_values_are_disabled_and_the_reason_is_written(browser, site_url):
    with Visit(browser, f"{site_url}/{FOUR}.html{ENDS}?", 1280, 900) as visit:
        box = four(visit)

        def disabled():
            return [
                e.evaluate("(e) => [e.value, (e.closest('label:has([type])') || e).title]")
                for e in box.element.query_selector_all(":is(input, option):disabled")
            ]

        def written():
            return box.element.query_selector(".memnb-why").inner_text()

        assert disabled() == [["5", "In d = 5, networks were trained on 3 or 5 points."]]
        assert "dimension d 5. In d = 5, networks were trained on 3 or 5 points." in written()
        fine = box.element.query_selector("input[name$='-S'][value='150']")
        box.after(lambda: fine.evaluate("(e) => e.click()"))
        values = [value for value, _ in disabled()]
        assert values == ["weight-decay", "adam", "dropout", "11", "5"]
        assert all(reason and reason in written() for _, reason in disabled())
        state = box.state
        box.element.query_selector("input[name$='-N'][value='11']").evaluate("(e) => e.click()")
        assert box.state == state
        box.after(box.button("Reset").click)
        assert len(disabled()) == 1


def test_a_link_to_a_heading_of_the_same_name_means_the_heading(browser, site_url):
    where = f"{site_url}/{FOUR}.html{ENDS}"
    with Visit(browser, where, 1280, 900) as visit:
        top = visit.page.locator(f"section{ENDS} :is(h1, h2, h3)").first.bounding_box()["y"]
        assert 0 <= top < 300
    with Visit(browser, f"{where}?S=10", 1280, 900) as visit:
        assert "noise levels S 10," in four(visit).state
        assert -20 <= four(visit).element.bounding_box()["y"] < 300


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_play_goes_to_the_end_and_stops_or_steps(browser, site_url, motion):
    with Visit(browser, f"{site_url}/{FOUR}.html{ENDS}?N=3", 1280, 900) as visit:
        visit.page.emulate_media(reduced_motion=motion)
        box = four(visit)
        visit.page.wait_for_timeout(100)
        if motion == "reduce":
            for n in (5, 8, 11, 3):  # one at a time, and from the end to the beginning
                box.after(box.button("Step").click)
                assert f"training points N {n}," in box.state
                visit.page.wait_for_timeout(1100)
                assert f"training points N {n}," in box.state
        else:
            play = box.button("Play")
            play.click()
            assert play.inner_text() == "Pause"
            assert play.get_attribute("aria-label") == "Pause: training points N"
            visit.page.wait_for_function(
                "(b) => b.textContent === 'Play'", arg=play, timeout=15_000
            )
            assert "training points N 11," in box.state and box.marks > 0
            play.click()  # again from the beginning, until another control is moved
            assert "training points N 3," in box.state
            box.element.query_selector("input[name=threshold]").focus()
            visit.page.keyboard.press("End")
            assert play.inner_text() == "Play"


def test_a_finger_moves_a_control(browser, site_url):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(f"{site_url}/{FOUR}.html{ENDS}?")
    page.wait_for_function(READY)
    box = Box(page, page.query_selector(".memnb-explorer"))
    label = box.element.query_selector("label:has(> input[value=score])")
    box.after(label.tap)
    assert "flow score," in box.state
    place = label.bounding_box()
    assert min(place["width"], place["height"]) >= 24
    context.close()
