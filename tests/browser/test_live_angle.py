"""Opening the angle, on the site: basins are those of Python, and an edge can be dragged."""

import math

import pytest
import torch
from visits import LivePage

import memnb
from memnb.explorers.simplex_data import opening_angle
from memnb.minnorm.stability import stationary_points

PAGE = "notebooks/03-simplex-data.html"
EXPLORER = opening_angle()
PLACES = 72


@pytest.fixture
def live(browser, site_url):
    with LivePage(browser, f"{site_url}/{PAGE}") as visit:
        yield visit


def shares(live):
    return [count / PLACES**2 for count in live.counts()]


def expected(points, rho):
    """Shares of starts that end at the points and at their sum."""
    data = memnb.training_set(points)
    denoiser = memnb.RampDenoiser(data, rho if rho < data.max_rho else 0.98 * data.max_rho)
    ticks = torch.linspace(*EXPLORER.given["window"], PLACES, dtype=torch.float64)
    ends = memnb.score_flow(torch.cartesian_prod(ticks, ticks), denoiser, math.inf)
    found = stationary_points(denoiser)
    attractors = torch.cat([data.points.new_tensor(points), data.points.new_tensor([points[1]])])
    attractors[3] += attractors[2]
    stable = found.points[found.stable]
    assert torch.cdist(stable, attractors).amin(dim=1).max() < 1e-9  # there are no others
    reached = (torch.cdist(ends, attractors) < 1e-3).double().mean(dim=0).tolist()
    return [*reached[:3], 0.0] if data.kind == "line" else reached  # where the sum is x_0


def corner(angle, ratio):
    turn = math.radians(angle)
    x, y = {90: (0.0, ratio), 180: (-ratio, 0.0)}.get(
        angle, (ratio * math.cos(turn), ratio * math.sin(turn))
    )
    return [(0.0, 0.0), (1.0, 0.0), (x, y)]


def test_every_control_at_both_ends(live):
    now = dict(EXPLORER.start)
    # A start that lies on the border of two basins may end at either.
    border = 3 / PLACES
    for axis in EXPLORER.axes:
        for end, place in (("high", 1e9), ("low", -1e9)):
            live.after(lambda a=axis.name, p=place: live.slide(a, p))
            now[axis.name] = getattr(axis, end)
            assert live.setting(axis.name) == now[axis.name]
            points = corner(now["angle"], now["ratio"])
            assert shares(live) == pytest.approx(expected(points, now["rho"]), abs=border)
    live.after(lambda: live.button("Reset").click())
    start = EXPLORER.start
    reached = expected(corner(start["angle"], start["ratio"]), start["rho"])
    assert shares(live) == pytest.approx(reached, abs=1e-3) and reached[3] > 0.1


SWEEP = """async (box, name) => {
  const slider = box.querySelector(`input[name=${name}]`);
  const [low, high] = [Number(slider.min), Number(slider.max)];
  const below = [];
  for (let k = 0; k <= 30; k++) {
    slider.value = low + (high - low) * k / 30;
    slider.dispatchEvent(new Event("input"));
    const [note, frame] = [box.querySelector(".memnb-live-note"), box]
      .map((part) => part.getBoundingClientRect().bottom);
    if (box.matches("[data-rough]")) below.push(note - frame); // a slow machine may be at rest
    await new Promise(requestAnimationFrame);
  }
  return below;
}"""


@pytest.mark.parametrize("width", [1280, 390])
def test_no_word_is_cut_while_something_moves(browser, site_url, width):
    with LivePage(browser, f"{site_url}/{PAGE}", width=width) as live:
        for name in ("angle", "rho"):
            below = live.box.evaluate(SWEEP, name)
            assert len(below) > 5 and max(below) <= 0


def test_the_edge_is_dragged_until_its_sum_is_lost(live):
    note = live.box.locator(".memnb-live-note")
    assert "is stable: it is for ρ > 0.070" in note.inner_text()
    handle = live.box.locator(".memnb-live-handle")
    box, stage = handle.bounding_box(), live.box.locator(".memnb-live-stage").bounding_box()
    low, high = EXPLORER.given["window"]
    scale = stage["width"] / (high - low)
    live.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    live.page.mouse.down()
    live.page.mouse.move(stage["x"] + (-0.5 - low) * scale, stage["y"] + (high - 0.9) * scale)
    live.page.wait_for_timeout(100)
    live.after(live.page.mouse.up)
    assert live.setting("angle") == pytest.approx(119.1, abs=1)
    assert live.setting("ratio") == pytest.approx(1.03, abs=0.02)
    assert "not stable" in note.inner_text() and shares(live)[3] == 0
    handle.focus()
    before = live.setting("angle")
    live.after(lambda: live.page.keyboard.press("Shift+ArrowLeft"))
    assert live.setting("angle") == pytest.approx(before + 5)
    assert f"at {live.setting('angle'):g} degrees" in handle.get_attribute("aria-label")


def test_a_map_is_rough_while_something_moves_and_whole_at_rest(live):
    assert PLACES**2 - 8 <= sum(live.counts()) <= PLACES**2  # some are on a border
    sizes = live.box.evaluate(
        """async (box) => {
          const starts = () => JSON.parse(box.querySelector("canvas").dataset.counts)
            .reduce((a, b) => a + b, 0);
          const slider = box.querySelector("input[name=angle]");
          const seen = [];
          for (const angle of [100, 110, 120]) {
            slider.value = angle;
            slider.dispatchEvent(new Event("input"));
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            seen.push([box.matches("[data-rough]"), starts()]);
          }
          while (box.matches("[data-rough]")) await new Promise(requestAnimationFrame);
          return [...seen, [false, starts()]];
        }"""
    )
    assert [rough for rough, _ in sizes] == [True, True, True, False]
    assert all(0 < starts <= 21**2 for _, starts in sizes[:3])
    assert PLACES**2 - 8 <= sizes[3][1] <= PLACES**2
    assert live.setting("angle") == 120


# The ends of the flow from n times n places, at an angle, a ratio and a share of the largest radius
SOLVER = """async (settings) => {
  const { basins, finer, pointsAt } = await import("/basins.js");
  const { sumMargin, sums, trainingSet } = await import("/sets.js");
  const solver = (angle, ratio, share) => {
    const points = pointsAt(angle, ratio);
    const set = trainingSet(points);
    const rho = share * set.maxRho;
    const stable = set.kind !== "line" && sumMargin(set, [1, 1]) < rho;
    const ends = stable ? [...points, sums(set)[3].point] : points;
    return (n, apart) => basins(set, rho, ends, WINDOW, n, apart);
  };
""".replace("WINDOW", str(list(EXPLORER.given["window"])))
ROUGH = (
    SOLVER
    + """
  return settings.map(([angle, ratio, share]) => {
    const solve = solver(angle, ratio, share);
    const [whole, rough] = [1, 4].map((apart) => solve(PLACES, apart));
    const different = whole.reduce((count, end, k) => count + (end !== rough[k]), 0);
    return [new Set(whole).size, different];
  });
}"""
)


def test_a_rough_map_is_the_whole_one_of_its_places(page):
    """Squares whose corners end together are not solved inside; that loses corners of basins."""
    settings = [(angle, ratio, share) for angle in (90, 90.5, 100, 117, 135, 150, 172, 180)
                for ratio in (0.5, 0.8, 1, 1.4) for share in (0.05, 0.3, 0.6, 0.95)]  # fmt: skip
    classes, different = zip(*page.evaluate(ROUGH.replace("PLACES", "21"), settings), strict=True)
    assert min(classes) >= 3
    assert max(different) <= 4 and sum(different) <= 1e-3 * len(settings) * 21**2


def test_between_places_that_end_together_a_map_at_rest_is_what_it_would_be(page):
    """Of 81 225 places at each of five settings, none ends elsewhere."""
    fine = 4 * (PLACES - 1) + 1
    settings = [(90, 1, 0.3), (94, 1, 0.2), (117, 0.8, 0.6), (150, 1.4, 0.95), (180, 0.5, 0.05)]
    classes, different = zip(
        *page.evaluate(ROUGH.replace("PLACES", str(fine)), settings), strict=True
    )
    assert min(classes) >= 3 and max(classes) == 4
    assert max(different) == 0


FINER = (
    SOLVER
    + """
  const [n, times] = [21, 8];
  const m = (n - 1) * times + 1;
  const near = (t) => Math.floor(t / times + 0.5);
  return settings.map(([angle, ratio, share]) => {
    const solve = solver(angle, ratio, share);
    const few = solve(n, 1);
    const fine = finer(few, n, times);
    const counts = [0, 0, 0]; // kept at the few places; wrong when refined; wrong by the nearest
    solve(m, 4).forEach((end, k) => {
      const [i, j] = [k % m, Math.floor(k / m)];
      const nearest = few[near(j) * n + near(i)];
      if (i % times === 0 && j % times === 0) counts[0] += fine[k] === nearest;
      counts[1] += end !== fine[k];
      counts[2] += end !== nearest;
    });
    return counts;
  });
}"""
)


def test_borders_of_a_rough_map_are_refined(page):
    """Against all 25 921 places: a third of the errors of the nearest solved place are gone."""
    settings = [(90.5, 1, 0.3), (94, 1, 0.2), (117, 0.8, 0.6), (150, 1.4, 0.95), (180, 0.5, 0.05)]
    kept, wrong, nearest = zip(*page.evaluate(FINER, settings), strict=True)
    assert set(kept) == {21**2}
    assert all(w < n for w, n in zip(wrong, nearest, strict=True)), (wrong, nearest)
    assert 3 * sum(wrong) <= 2 * sum(nearest)
