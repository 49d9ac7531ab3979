"""From a mouse move to its frame, in every live explorer: ``python -m benchmarks.frames``.

The built site is opened in headless Chromium, and each slider and handle of each live explorer is
dragged with the mouse, with 500 starts where there are starts. A clock runs from the time of the
move until the frame has been handed over. This includes the wait for the next frame of the display,
up to 17 ms, and all that a move costs where nothing is computed, which a bare slider in the same
page shows: the first row of each explorer. Each page is opened anew, and the first moves count too;
of moves that come before a frame is there, only the first counts. Then all is done again with a
processor that is slowed down four times.
"""

import sys

import numpy as np
from tqdm import tqdm

from benchmarks import Compared, is_quick
from benchmarks._site import opened
from memnb.book.layout import Layout
from memnb.explorers import ALL
from memnb.explorers.live import Live, Range

__all__ = ["all_times", "compare", "main", "measure"]

RATES = (1, 4)
MOVES = 60
BARE = "a bare slider"
LISTEN = """() => {
  window.times = [];
  let busy = false;
  addEventListener("pointermove", (event) => {
    if (busy || !event.buttons) return;
    busy = true;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel(); // after the frame
      port1.onmessage = () => {
        busy = false;
        times.push(performance.now() - event.timeStamp);
      };
      port2.postMessage(0);
    });
  }, { capture: true });
}"""
ADD_BARE = """(box) => {
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", name: "bare", max: 1, step: 0.001 });
  box.querySelector(".memnb-live-controls").append(slider);
}"""


def _moved(box, what):
    """The element that the mouse drags."""
    if what.startswith("handle"):
        return box.locator(".memnb-live-handle").nth(int(what.split()[1]))
    return box.locator(f"input[name={'bare' if what == BARE else what}]")


def _way(box, element, what, moves):
    """Where the mouse goes: from one end of a slider to the other, or around with a handle."""
    if what.startswith("handle"):
        place, stage = (e.bounding_box() for e in (element, box.locator(".memnb-live-stage").first))
        turn = np.linspace(0, 2 * np.pi, moves + 1)
        x = place["x"] + place["width"] / 2 - 0.06 * stage["width"] * (1 - np.cos(turn))
        y = place["y"] + place["height"] / 2 + 0.06 * stage["width"] * np.sin(turn)
        return np.stack([x, y], axis=1)
    place = element.bounding_box()
    x = np.linspace(place["x"] + 8, place["x"] + place["width"] - 8, moves + 1)
    return np.stack([x, np.full(moves + 1, place["y"] + place["height"] / 2)], axis=1)


def measure(browser, url, explorer, what, rate, moves=MOVES):
    """Milliseconds from each move of the mouse to the frame that follows.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    url : str
        Of the chapter.
    explorer : Live
    what : str
        Name of a slider, :data:`BARE`, or ``"handle 0"`` for the first handle.
    rate : float
        How many times slower the processor is to be.
    moves : int
        How often the mouse moves.

    Returns
    -------
    ndarray
        Times in milliseconds.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    starts = "n" in explorer.start and explorer.view != "spectrum"
    page.goto(f"{url}#{explorer.anchor}{'?n=500' if starts else ''}")
    box = page.locator(f"#explorer-{explorer.anchor}")
    page.wait_for_function("(box) => box.dataset.drawn", arg=box.element_handle())
    if what == BARE:
        box.evaluate(ADD_BARE)
    element = _moved(box, what)
    element.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)  # until the page is at rest
    way = _way(box, element, what, moves)
    page.evaluate(LISTEN)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})
    page.mouse.move(*way[0])
    page.mouse.down()
    for place in way[1:]:
        page.mouse.move(*place)
        page.wait_for_timeout(25)
    page.wait_for_timeout(200)
    times = page.evaluate("times")
    page.mouse.up()
    page.close()
    return np.array(times)


def _cases():
    """Chapter, explorer and what of it is moved, for each live explorer of the site."""
    chapters = {
        path.stem: path.read_text() for path in (Layout.here().site / "notebooks").glob("*.html")
    }
    handles = {"plane": ["handle 0", "handle 3"], "basins": ["handle 0"]}
    for make in ALL.values():
        explorer = make()
        if isinstance(explorer, Live):
            anchor = f'id="explorer-{explorer.anchor}"'
            chapter = next(name for name, text in chapters.items() if anchor in text)
            sliders = [axis.name for axis in explorer.axes if isinstance(axis, Range)]
            yield chapter, explorer, [BARE, *sliders, *handles.get(explorer.view, [])]


def all_times(rates, moves):
    """Times of every control of every live explorer.

    Parameters
    ----------
    rates : sequence of float
        How many times slower the processor is to be.
    moves : int
        How often the mouse moves.

    Yields
    ------
    explorer : Live
    what : str
        As in :func:`measure`.
    times : list of ndarray
        Milliseconds at each rate.

    Raises
    ------
    RuntimeError
        If there is no site or no Chromium.
    """
    with opened() as (browser, root):
        cases = [(c, e, what) for c, e, controls in _cases() for what in controls]
        for chapter, explorer, what in tqdm(cases, desc="controls"):
            url = f"{root}/{chapter}.html"
            yield explorer, what, [measure(browser, url, explorer, what, r, moves) for r in rates]


def _words(times):
    return f"{np.median(times):.0f} / {np.percentile(times, 95):.0f}"


def compare(quick=False):
    """Rows of the page: the slowest control of each live explorer beside a bare slider.

    Parameters
    ----------
    quick : bool
        Five moves of each control.

    Returns
    -------
    list of Compared

    Raises
    ------
    RuntimeError
        If there is no site or no Chromium.
    """
    slowed, moves = RATES[-1], 5 if quick else MOVES
    found = {}
    for explorer, what, (times,) in all_times([slowed], moves):
        found.setdefault(explorer.number, {})[what] = times
    rows = []
    for number, controls in found.items():
        late = {what: np.percentile(times, 95) / 1000 for what, times in controls.items()}
        bare = late.pop(BARE)
        slowest = max(late, key=late.get)
        rows.append(
            Compared(
                "From a mouse move to its frame",
                f"figure {number}, processor slowed down {slowed} times, 95th percentile of "
                f"{moves} moves",
                f"{slowest}, its slowest control",
                BARE,
                late[slowest],
                bare,
                note="median / 95th percentile in ms: "
                + ", ".join(f"{what} {_words(times)}" for what, times in controls.items()),
            )
        )
    return rows


def main():
    """Print the table."""
    moves = 5 if is_quick(__doc__, "five moves each") else MOVES
    print("| explorer | control |" + "".join(f" {r}x: median / p95 of ms |" for r in RATES))
    print("|:--|:--|" + "--:|" * len(RATES))
    for explorer, what, times in all_times(RATES, moves):
        cells = " | ".join(_words(t) for t in times)
        tqdm.write(f"| {explorer.number} | {what} | {cells} |", sys.stdout)


if __name__ == "__main__":
    main()
