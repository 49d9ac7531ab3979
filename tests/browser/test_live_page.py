"""Live explorers on the site: what they show is what Python computes, by every way of moving."""

import gzip
import json
import math

import pytest
import torch
from visits import LivePage

import memnb
from memnb.explorers import ALL
from memnb.explorers import live as memnb_live
from memnb.explorers.score_flow import field, window_starts
from memnb.figures.display import live_script

PAGE = "notebooks/01-score-flow.html"
EXPLORER = field()
STARTS = window_starts(500, 0)
RIGHT = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
OBTUSE = [[0.0, 0.0], [1.2, 0.0], [-0.5, 0.9]]


def Live(browser, site_url, query="", **options):
    return LivePage(browser, f"{site_url}/{PAGE}{query}", **options)


def expected(points, rho, n, flow="score"):
    data = memnb.training_set(torch.tensor(points, dtype=torch.float64))
    denoiser = memnb.RampDenoiser(data, rho)
    y = STARTS[:n]
    if flow == "score":
        end = memnb.score_flow(y, denoiser, math.inf)
    else:
        end = memnb.probability_flow(y, denoiser, 1.0, 0.0)
    return list(memnb.classify(end, data, 0.2).counts().values())


def test_the_first_frame_is_that_of_python_and_is_read_out(browser, site_url):
    with Live(browser, site_url) as live:
        assert live.counts() == expected(RIGHT, 0.1, 60)
        n = live.counts()[0]
        name = live.box.get_attribute("aria-label")
        assert "Score flow in the plane" in name and f"{n} at training points" in name
        assert f"{n} at training" in live.box.locator("canvas").first.get_attribute("aria-label")
        live.page.wait_for_function(
            "document.querySelector('.memnb-live-status').textContent.includes('training')"
        )
        legend = live.box.locator(".memnb-live-counts span").first.inner_text()
        assert legend == f"training points: {n}"


@pytest.mark.parametrize("width", [1280, 390])
def test_every_control_at_both_ends(browser, site_url, width):
    with Live(browser, site_url, width=width) as live:
        for axis in EXPLORER.axes[:3]:
            for end, place in (("low", -1e9), ("high", 1e9)):
                live.after(lambda a=axis.name, p=place: live.slide(a, p))
                assert live.setting(axis.name) == getattr(axis, end)
        assert live.counts() == expected(RIGHT, 0.49, 500)
        live.after(lambda: live.box.get_by_text("both flows", exact=True).click())
        assert live.counts(1) == expected(RIGHT, 0.49, 500, "probability")
        live.after(lambda: live.button("Reset").click())
        assert live.counts() == expected(RIGHT, 0.1, 60)
        assert live.box.locator("canvas").nth(1).is_hidden()
        assert live.fits(width)


def test_a_link_restores_the_state_and_a_button_makes_it(browser, site_url):
    text = ";".join(",".join(map(str, p)) for p in OBTUSE)
    query = f"#{EXPLORER.anchor}?points={text}&rho=0.2&n=200&r=3"
    with Live(browser, site_url, query) as live:
        assert live.counts() == expected(OBTUSE, 0.2, 200)
        assert live.points() == OBTUSE and live.setting("r") == 3
        live.button("Copy link").click()
        made = live.page.evaluate("location.hash")
        live.after(lambda: live.button("Reset").click())
        assert live.points() == RIGHT
    with Live(browser, site_url, made) as live:
        assert live.counts() == expected(OBTUSE, 0.2, 200) and live.setting("r") == 3
    # What makes no sense stays at the start, what is too large at the end.
    query = f"#{EXPLORER.anchor}?points=0,0;1,x;0,1&rho=none&n=9999"
    with Live(browser, site_url, query) as live:
        assert live.points() == RIGHT and live.setting("rho") == 0.1 and live.setting("n") == 500


def drag(live, k, point, steps=8, what="training point"):
    """Drag training point k, or a start, of the first panel with the mouse."""
    stage = live.box.locator(".memnb-live-stage").first.bounding_box()
    low, high = EXPLORER.given["window"]
    scale = stage["width"] / (high - low)

    def place(p):
        return stage["x"] + (p[0] - low) * scale, stage["y"] + (high - p[1]) * scale

    live.page.mouse.move(*place(live.points(what)[k]))
    live.page.mouse.down()
    live.page.mouse.move(*place(point), steps=steps)
    live.page.wait_for_timeout(100)
    live.after(live.page.mouse.up)


def test_points_are_dragged_and_snap_to_what_is_known(browser, site_url):
    with Live(browser, site_url) as live:
        note = live.box.locator(".memnb-live-note")
        drag(live, 2, (-0.45, 0.9))
        moved = live.points()[2]
        assert moved == pytest.approx([-0.45, 0.9], abs=0.02)
        assert "Obtuse" in note.inner_text()
        drag(live, 2, (0.5, 0.88))
        assert "Equilateral triangle" in note.inner_text()
        drag(live, 2, (0.55, 1.4))
        assert "empirical Bayes" in note.inner_text()
        drag(live, 2, (1.5, 0.01))
        assert "line" in note.inner_text() and live.points()[2][1] == 0
        drag(live, 2, (0.01, 0.9))
        assert note.inner_text() == "" and live.points()[2][0] == 0
        drag(live, 2, (5.0, 5.0))  # stays in the picture
        assert max(live.points()[2]) < EXPLORER.given["window"][1]


def test_a_start_is_dragged_and_says_where_it_ends(browser, site_url):
    with Live(browser, site_url) as live:
        handle = live.box.locator(".memnb-live-start").first
        data = memnb.training_set(torch.tensor(RIGHT, dtype=torch.float64))
        denoiser = memnb.RampDenoiser(data, 0.1)
        for place in ((0.8, 0.7), (0.2, 0.3), (0.7, 1.3)):
            drag(live, 0, place, what="start")
            (now,) = live.points("start")
            assert now == pytest.approx(place, abs=0.02) and live.points() == RIGHT
            end = memnb.score_flow(torch.tensor([now], dtype=torch.float64), denoiser, math.inf)
            label = next(k for k, v in memnb.classify(end, data, 0.2).counts().items() if v)
            assert handle.get_attribute("aria-label").endswith(f"ends: {label}")
        handle.focus()
        live.after(lambda: live.page.keyboard.press("ArrowLeft"))
        assert live.points("start")[0][0] == pytest.approx(now[0] - 0.02, abs=0.006)
        live.button("Copy link").click()
        assert "start=" in live.page.evaluate("location.hash")
        live.after(lambda: live.button("Reset").click())
        assert live.points("start") == [pytest.approx(STARTS[0].tolist(), abs=0.006)]


def test_arrow_keys_move_a_point(browser, site_url):
    with Live(browser, site_url) as live:
        handle = live.box.locator(".memnb-live-stage").first.locator("button").nth(1)
        handle.focus()
        live.after(lambda: live.page.keyboard.press("ArrowRight"))
        live.after(lambda: live.page.keyboard.press("Shift+ArrowDown"))
        assert live.points()[1] == [1.02, -0.1]
        assert live.counts() == expected([[0, 0], [1.02, -0.1], [0, 1]], 0.1, 60)


def test_a_finger_drags_a_point(browser, site_url):
    with Live(browser, site_url, width=390, has_touch=True) as live:
        handle = live.box.locator(".memnb-live-stage").first.locator("button").nth(2)
        box = handle.bounding_box()
        assert round(min(box["width"], box["height"]), 2) >= 44  # of a browser's fractions
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = live.context.new_cdp_session(live.page)
        for kind, at in (("touchStart", (x, y)), ("touchMove", (x - 40, y + 10)),
                         ("touchMove", (x - 60, y + 20)), ("touchEnd", None)):  # fmt: skip
            points = [] if at is None else [{"x": at[0], "y": at[1]}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        live.page.wait_for_function(
            "document.querySelector('.memnb-live-note').textContent.includes('Obtuse')"
        )
        assert live.points()[2][0] < -0.2


MOVING = """async (box) => {
  const [many, slider] = ["n", "rho"].map((name) => box.querySelector(`input[name=${name}]`));
  const frame = () => new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
  const look = () => ({
    rough: box.matches("[data-rough]"), held: getComputedStyle(box).contain,
    height: box.getBoundingClientRect().height,
    counts: [...box.querySelectorAll("canvas")].map((c) => JSON.parse(c.dataset.counts)),
  });
  many.value = 500;
  many.dispatchEvent(new Event("input"));
  many.dispatchEvent(new Event("change"));
  await frame();
  const seen = [];
  for (const rho of [0.05, 0.2, 0.35]) {
    const before = look();
    slider.value = rho;
    slider.dispatchEvent(new Event("input"));
    await frame();
    const moving = look();
    slider.dispatchEvent(new Event("change"));
    await frame();
    seen.push([before, moving, look()]);
  }
  return seen;
}"""


def test_what_moves_is_drawn_roughly_but_counted_fully_and_moves_nothing_else(browser, site_url):
    with Live(browser, site_url) as live:
        live.after(lambda: live.box.get_by_text("both flows").click())
        seen = live.box.evaluate(MOVING)
        for before, moving, rest in seen:
            assert (moving["rough"], rest["rough"]) == (True, False)
            assert all("size" in look["held"] for look in (before, moving, rest))
            assert moving["counts"] == rest["counts"]
            assert [sum(counts) for counts in rest["counts"]] == [500, 500]
            # Not even by a part of a pixel, which would have all of the page painted again
            assert moving["height"] == pytest.approx(before["height"], abs=1e-3)
        heights = [moving["height"] - rest["height"] for _, moving, rest in seen]
        assert min(heights) < -1  # a line of counts has come
        # At rest it is as high as what is in it, however it came to rest, and on paper, too
        fits = "(([box, inner]) => Math.abs(box.clientHeight - inner.offsetHeight - 24) <= 1)"
        both = "['.memnb-live', '.memnb-live-inner'].map((s) => document.querySelector(s))"
        for stop in ("Pause", "Reset"):
            live.button("Play").click()
            live.page.wait_for_function("document.querySelector('.memnb-live[data-rough]')")
            live.button(stop).click()
            live.page.wait_for_function("!document.querySelector('.memnb-live[data-rough]')")
            assert live.page.evaluate(f"{fits}({both})")
            live.button("Reset").click()
        live.button("Play").click()
        live.page.wait_for_function("document.querySelector('.memnb-live[data-rough]')")
        live.page.emulate_media(media="print")
        assert live.page.evaluate(f"dispatchEvent(new Event('beforeprint')) && {fits}({both})")
        assert live.box.evaluate("(box) => getComputedStyle(box).contain") == "none"
        live.page.emulate_media(media="screen")
        live.page.set_viewport_size({"width": 700, "height": 900})
        live.page.wait_for_function(f"{fits}({both})")


STAMPED = """async () => {
  const { Stage } = await import("/stage.js");
  const parent = document.body.appendChild(document.createElement("div"));
  parent.style.width = "300px";
  const stage = new Stage(parent, "symbols", [0, 1], () => {});
  stage.square.style.height = "300px";
  stage.begin("rgb(0, 0, 0)");
  const picture = (how, label) => {
    stage.begin("rgb(0, 0, 0)");
    stage.pen.globalAlpha = 0.75;
    const points = Array.from({ length: 45 }, (_, k) => [0.021 * k, 0.021 * k + 0.03]);
    stage[how](points, label, 4);
    stage[how](points.map(([x, y]) => [x + 0.01, y]), (label + 1) % 5, 4);
    stage.pen.globalAlpha = 1;
    stage.lay();
    return stage.pen.getImageData(0, 0, stage.canvas.width, stage.canvas.width).data;
  };
  return [0, 1, 2, 3, 4].map((label) => {
    const [a, b] = ["marks", "stamp"].map((how) => picture(how, label));
    return [a, b].map((data) => [0, 1, 2, 3].map((part) => {
      let sum = 0;
      for (let k = 0; k < data.length; k += 4) {
        sum += data[k + 3] * (part < 3 ? data[k + part] : 255);
      }
      return sum / 255 ** 2;
    }));
  });
}"""


def test_symbols_that_move_have_the_shape_and_color_of_those_at_rest(page):
    """Their ink, in all and of each color, differs by less than 3 %.

    Thin lines, of which crosses consist, lose up to a third of theirs at whole pixels.
    """
    for label, found in enumerate(page.evaluate(STAMPED)):
        drawn, stamped = found
        assert drawn[3] > 300, "hardly anything was drawn"
        for a, b in zip(drawn, stamped, strict=True):
            assert b == pytest.approx(a, rel=0.03 if label < 3 else 0.34, abs=1), (label, found)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_time_plays_and_stops(browser, site_url, motion):
    with Live(browser, site_url, reduced_motion=motion) as live:
        live.button("Play").click()
        live.page.wait_for_function(
            "document.querySelector('.memnb-live input[name=r]').value > 0.4"
        )
        frames = int(live.page.evaluate(live.drawn))
        assert frames > 8 or motion == "reduce"
        live.button("Pause").click()
        live.page.wait_for_timeout(100)
        paused = live.setting("r")
        live.page.wait_for_timeout(1100)
        assert live.setting("r") == paused > 0


IDLE = """
  window.idle = [];
  window.requestIdleCallback = (act) => idle.push(act);
"""
PICTURE = """() => [...document.querySelectorAll('.memnb-live')].map((box) => JSON.stringify([
  box.ariaLabel, box.dataset.drawn, box.innerHTML,
  [...box.querySelectorAll('canvas')].map((c) => c.toDataURL()),
]))"""
# What is drawn beforehand, and in how many changes of each explorer
BEFOREHAND = """async () => {
  const changes = [...document.querySelectorAll(".memnb-live")].map((box) => {
    const records = [];
    new MutationObserver((more) => records.push(...more))
      .observe(box, { subtree: true, attributes: true });
    return records;
  });
  while (idle.length) idle.shift()({ timeRemaining: () => 50 });
  await new Promise(requestAnimationFrame);
  return Math.min(...changes.map((records) => records.length));
}"""


@pytest.mark.parametrize(
    "chapter", ["01-score-flow", "02-probability-flow", "03-simplex-data", "05-linear-model"]
)
def test_what_is_drawn_beforehand_leaves_no_trace(browser, site_url, chapter):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    view = context.new_page()
    view.add_init_script(IDLE)
    view.goto(f"{site_url}/notebooks/{chapter}.html")
    live = "[...document.querySelectorAll('.memnb-live')]"
    view.wait_for_function(f"{live}.every((b) => b.dataset.drawn) && idle.length >= {live}.length")
    view.wait_for_timeout(700)  # until the first state has been said
    before = view.evaluate(PICTURE)
    assert view.evaluate(BEFOREHAND) > 5
    assert view.evaluate(PICTURE) == before
    context.close()


def test_live_explorers_are_light():
    """Data and script of each, compressed as every server sends them."""
    live = [explorer for make in ALL.values() if isinstance(explorer := make(), memnb_live.Live)]
    assert len(live) == 5
    for explorer in live:
        text = json.dumps(explorer.payload()) + live_script()
        assert len(gzip.compress(text.encode())) < 30_000


def test_the_first_page_begins_with_the_plane(browser, site_url):
    with LivePage(browser, f"{site_url}/book/intro.html") as live:
        box = live.box.locator("canvas").first.bounding_box()
        top = live.page.evaluate("scrollY") + box["y"]
        assert top + box["height"] < 900  # above the fold
        assert live.counts() == expected(RIGHT, 0.1, field(compact=True).given["most"])


@pytest.mark.parametrize("page", ["book/intro.html", PAGE])
def test_without_scripts_there_is_a_picture(browser, site_url, page):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(f"{site_url}/{page}")
    picture = view.locator(".memnb-live svg").first
    assert picture.bounding_box()["width"] > 250
    assert "three training points" in picture.get_attribute("aria-label")
    context.close()


def test_paper_is_light(browser, site_url):
    with Live(browser, site_url, color_scheme="dark") as live:
        ink = """() => { const c = document.querySelector('.memnb-live canvas');
            const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            let seen = 0;
            for (let i = 0; i < p.length; i += 4) {
              seen += p[i] < 60 && p[i + 1] < 60 && p[i + 2] < 60 && p[i + 3] > 200;
            }
            return seen; }"""
        assert live.page.evaluate(ink) == 0
        printed = f"() => {{ dispatchEvent(new Event('beforeprint')); return ({ink})(); }}"
        assert live.page.evaluate(printed) > 0  # dark letters and circles
        live.page.evaluate("dispatchEvent(new Event('afterprint'))")
        live.page.wait_for_function(f"() => ({ink})() === 0")
