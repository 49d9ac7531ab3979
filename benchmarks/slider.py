"""From a slider to the frame that follows, in the built site: ``python -m benchmarks.slider``.

The plane of chapter 1 is opened in headless Chromium. Its slider of time is moved, and a clock in
the page runs from the input event until the new frame is drawn; this includes the wait for the next
frame of the display. Beside it stands the time in which Python makes the figure of such a frame,
which is what a kernel would take before it sends anything.
"""

import statistics

from benchmarks import Compared, in_turns, is_quick
from benchmarks._site import opened
from memnb.explorers.score_flow import field

__all__ = ["compare", "main"]

MOVE = """async ([box, place]) => {
  const live = box, slider = live.querySelector('input[name=r]');
  const before = live.dataset.drawn, began = performance.now();
  slider.value = place;
  slider.dispatchEvent(new Event('input'));
  while (live.dataset.drawn === before) {
    if (performance.now() - began > 10000) throw new Error('no frame after 10 s');
    await new Promise((next) => setTimeout(next, 0));
  }
  return (performance.now() - began) / 1000;
}"""


def _in_the_page(repeats):
    """Seconds of each move of the slider."""
    with opened() as (browser, root):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{root}/01-score-flow.html")
        page.wait_for_function("document.querySelector('.memnb-live')?.dataset.drawn")
        box = page.locator(".memnb-live").first
        box.scroll_into_view_if_needed()
        element = box.element_handle()
        most = float(box.locator("input[name=r]").get_attribute("max"))
        step = most / (repeats + 1)
        return [page.evaluate(MOVE, [element, k * step]) for k in range(1, repeats + 1)]


def compare(quick=False):
    """Rows of the page: a frame in the page beside the computation of one in Python.

    Parameters
    ----------
    quick : bool
        Three frames.

    Returns
    -------
    list of Compared

    Raises
    ------
    RuntimeError
        If there is no site or no Chromium.
    """
    repeats = 3 if quick else 60
    explorer = field()
    values = explorer.start
    seconds, _ = in_turns(
        {"Python": lambda: explorer.figure(**values | {"r": 1.0}).to_json()}, min(repeats, 10)
    )
    return [
        Compared(
            "From slider to frame",
            f"the plane of chapter 1, {values['n']} starts, median of {repeats} frames",
            "computed and drawn in the page",
            "the figure of the frame made in Python, neither sent nor drawn",
            statistics.median(_in_the_page(repeats)),
            seconds["Python"],
            note="the page waits for the next frame of the display, up to 17 ms",
        )
    ]


def main():
    """Print the table."""
    for row in compare(is_quick(__doc__, "three frames")):
        page, python = 1000 * row.of_ours, 1000 * row.of_reference
        print(f"{row.case}: page {page:.1f} ms, Python {python:.1f} ms")


if __name__ == "__main__":
    main()
