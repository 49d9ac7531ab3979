"""The formulas that run in the page give what memnb gives, in a browser without network."""

import math

import pytest
import torch
from formulas import CLOSE, N_CASES, call

import memnb
from memnb.explorers.score_flow import field, window_starts
from memnb.minnorm.denoisers import EmpiricalBayesDenoiser
from memnb.minnorm.simplex import obtuse_simplex
from memnb.streams import stream


def points_of(*rows):
    return torch.tensor(rows, dtype=torch.float64)


# In the plane: right angles, obtuse, almost right, a triangle, lines, two points; moved and turned
SETS = {
    "right angle": points_of((0, 0), (1, 0), (0, 1)),
    "long and short": points_of((0.5, -0.25), (0.5, 0.5), (2.5, -0.25)),
    "turned": points_of((3, 4), (0, 0), (7, 1)),
    "two points": points_of((-0.3, 0.2), (0.8, 0.9)),
    "obtuse, equal edges": obtuse_simplex(3, 2, angle=120).points,
    "obtuse": obtuse_simplex(3, 2, [1.0, 1.3], angle=100, seed=3).points + 0.5,
    "almost right": obtuse_simplex(3, 2, angle=90.5).points,
    "almost flat": obtuse_simplex(3, 2, angle=175).points,
    "triangle": memnb.equilateral_triangle(2, 0.9, seed=1).points + 0.25,
    "line": points_of((0, 0), (1, 0), (-0.75, 0)),
    "slanted line": points_of((0, 0), (3, 4), (-0.75, -1)),
}


def starts(points, rho, name):
    """Random starts around points, far ones, and the corners: vertices, middles, edges of ramps."""
    data = memnb.training_set(points)
    generator = stream(0, name)
    size = (points - points.mean(0)).norm(dim=1).max()
    around = torch.randn(N_CASES, 2, generator=generator, dtype=torch.float64)
    k = torch.tensor([0.0, rho, 0.5, 1.0])
    low, high = data.low[0], data.high[0]
    marks = torch.stack([low, low + rho, (low + high) / 2, high - rho, high])
    grid = torch.cartesian_prod(*[marks] * min(2, data.n_ramps)).reshape(-1, min(2, data.n_ramps))
    z = torch.zeros(len(grid), data.n_ramps, dtype=torch.float64)
    z[:, : grid.shape[1]] = grid
    mid = (points[:, None] + k[:, None, None, None] * (points - points[:, None])).reshape(-1, 2)
    corners = [data.from_coordinates(z), mid, 100 * around[:5]]
    return torch.cat([points.mean(0) + size * around, *corners])


@pytest.mark.parametrize("name", SETS)
def test_sets_are_recognized(page, name):
    points = SETS[name]
    data = memnb.training_set(points)
    seen = page.evaluate("async (p) => (await import('/sets.js')).trainingSet(p)", points.tolist())
    assert seen["kind"] == data.kind
    for part in ("points", "center", "directions", "lengths", "low", "high"):
        mine = torch.tensor(seen[part], dtype=torch.float64)
        torch.testing.assert_close(mine, getattr(data, part), rtol=0, atol=CLOSE)
    assert seen["maxRho"] == pytest.approx(data.max_rho, rel=1e-12)


def test_acute_angles_are_not_recognized(page):
    generator = stream(0, "sets")
    clouds = torch.randn(N_CASES, 3, 2, generator=generator, dtype=torch.float64)
    almost = [SETS["right angle"] + points_of((0, 0), (0, 1e-9), (0, 0)),
              SETS["triangle"] + points_of((0, 0), (0, 1e-9), (0, 0))]  # fmt: skip
    answers = page.evaluate(
        "async (all) => { const { trainingSet } = await import('/sets.js');"
        "return all.map((p) => trainingSet(p)?.kind ?? null); }",
        [*clouds.tolist(), *(a.tolist() for a in almost)],
    )
    kinds = []
    for points in [*clouds, *almost]:
        try:
            kinds.append(memnb.training_set(points).kind)
        except ValueError:
            kinds.append(None)
    assert answers == kinds and {None, "obtuse simplex"} <= set(kinds)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("share", [0.02, 0.9])
def test_denoiser_and_flows(page, name, share):
    points = SETS[name]
    data = memnb.training_set(points)
    rho = share * data.max_rho
    denoiser = memnb.RampDenoiser(data, rho)
    y = starts(points, rho, name)

    def same(function, flow, *numbers):
        expected = flow(y)
        # On the border of two basins a flow amplifies rounding; such starts say nothing.
        shift = 1e-15 * points.abs().max()
        moved = torch.stack([flow(y + shift) - expected, flow(y - shift) - expected])
        sound = (moved / (1 + expected.abs())).abs().amax(dim=(0, 2)) < CLOSE / 100
        assert sound[:N_CASES].sum() > 0.9 * N_CASES
        found = call(page, "flows", function, [("set", rho, x, *numbers) for x in y], points)
        torch.testing.assert_close(found[sound], expected[sound], rtol=CLOSE, atol=CLOSE)

    same("denoise", denoiser)
    for r in (0.1, 1.0, 7.0, 40.0, math.inf):
        same("scoreFlow", lambda y, r=r: memnb.score_flow(y, denoiser, r), r)
    widths = data.high - data.low
    if data.is_orthogonal or (widths / widths[0] - 1).abs().max() < 1e-12:
        for left in (1.0, 0.5, 1e-6, 0.0):
            same(
                "probabilityFlow",
                lambda y, left=left: memnb.probability_flow(y, denoiser, 1.0, left),
                left,
            )


@pytest.mark.parametrize("rho", [0.0, 1e-3, 0.1, 0.45])
def test_coordinates_of_orthogonal_data(page, rho):
    generator = stream(0, "coordinates")
    z = 2 * torch.rand(N_CASES, 1, generator=generator, dtype=torch.float64) - 0.5
    z = torch.cat([z, torch.tensor([[0.0], [rho], [0.5], [1 - rho], [1.0]], dtype=z.dtype)])
    denoiser = memnb.RampDenoiser(memnb.orthogonal_set(2, 1), rho)
    for r in (0.0, 0.5, 5.0, 100.0, math.inf):
        found = call(page, "flows", "scoreFlowCoordinate", [(x[0], 1.0, rho, r) for x in z])
        expected = memnb.score_flow(z, denoiser, r)[:, 0]
        torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("name", [n for n in SETS if "line" not in n])
def test_classes(page, name, threshold):
    points = SETS[name]
    data = memnb.training_set(points)
    far_sum = data.from_coordinates(data.lengths)[None]
    y = torch.cat([starts(points, 0.1, name), far_sum])
    # Between two sums, or at the threshold, rounding decides.
    around = [memnb.classify(y + e, data, threshold).labels for e in (-1e-12, 0.0, 1e-12)]
    y = y[(around[0] == around[1]) & (around[1] == around[2])]
    assert len(y) > N_CASES
    found = call(page, "sets", "classify", [("set", x, threshold) for x in y], points)
    expected = memnb.classify(y, data, threshold).labels.double()
    assert len(set(expected.tolist())) >= 3
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_classes_in_many_dimensions(page, norm):
    data = memnb.orthogonal_set(5, 6)
    generator = stream(0, "classes")
    y = 1.5 * torch.rand(2 * N_CASES, 6, generator=generator, dtype=torch.float64) - 0.25
    y[::4] = y[::4].round()
    y[1::4] += 0.9 * (y[1::4].round() - y[1::4])
    z, off = data.coordinates(y), data.off_plane(y)
    for threshold in (0.1, 0.3):
        cases = [(a, data.lengths, b, threshold, norm == "linf")
                 for a, b in zip(z, off, strict=True)]  # fmt: skip
        found = call(page, "sets", "classifyCoordinates", cases)
        expected = memnb.classify(y, data, threshold, norm).labels
        assert len(expected.unique()) >= 3
        torch.testing.assert_close(found, expected.double(), rtol=0, atol=0)


def test_margins_of_sums(page):
    generator = stream(0, "margins")
    for _ in range(N_CASES):
        numbers = torch.rand(3, generator=generator, dtype=torch.float64)
        angle = 91 + 88 * float(numbers[0])
        data = obtuse_simplex(3, 2, (0.5 + numbers[1:]).tolist(), angle=angle)
        on = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
        found = call(page, "sets", "sumMargin", [("set", b) for b in on], data.points)
        expected = memnb.sum_margin(on.bool(), data)
        torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.5, 20.0])
def test_empirical_bayes(page, sigma):
    generator = stream(0, "posterior")
    points = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    y = 2 * torch.randn(N_CASES, 2, generator=generator, dtype=torch.float64)
    y = torch.cat([y, points, (points[:1] + points[1:]) / 2, 1e3 * y[:5]])
    found = call(page, "flows", "empiricalBayes", [(points, sigma, x) for x in y])
    expected = EmpiricalBayesDenoiser(points, sigma)(y)
    torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE)


def test_the_numerical_flow_takes_the_steps_of_the_reference(page):
    """Where no closed form is known: fixed noise, and noise that falls, in equal steps of r."""
    generator = stream(0, "steps")
    points = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    y = 2 * torch.randn(N_CASES, 2, generator=generator, dtype=torch.float64)
    grid = torch.linspace(0, 3, 25, dtype=torch.float64)
    found = page.evaluate(
        """async ({ points, starts, grid }) => {
          const { empiricalBayes, stepped } = await import("/flows.js");
          const noise = [() => 0.7, (r) => 0.7 * Math.exp(-r)];
          return noise.map((sigma) => starts.map((y) =>
            stepped((r, x) => empiricalBayes(points, sigma(r), x), y, grid)));
        }""",
        {"points": points.tolist(), "starts": y.tolist(), "grid": grid.tolist()},
    )
    fixed = memnb.score_flow_stepped(y, EmpiricalBayesDenoiser(points, 0.7), grid, "rk4")
    falling = memnb.probability_flow_stepped(
        y,
        lambda sigma: EmpiricalBayesDenoiser(points, sigma),
        0.7 * torch.exp(-grid),
        "log_sigma",
        "rk4",
    )
    expected = torch.stack([fixed, falling]).transpose(1, 2)
    found = torch.tensor(found, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE)


def test_the_module_of_jupyterlab_draws_the_first_frame_of_python(page):
    explorer = field()
    widget = explorer.widget().children[0]
    counts = page.evaluate(
        """async ({ esm, spec }) => {
          const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
          const { default: module } = await import(url);
          const counts = [];
          for (const hidden of [false, true]) { // in an output that is folded, too
            const el = document.body.appendChild(document.createElement("div"));
            el.hidden = hidden;
            module.render({ model: { get: () => spec }, el });
            for (let k = 0; k < 600 && !el.firstChild.dataset.drawn; k++) {
              await new Promise(requestAnimationFrame);
            }
            counts.push(JSON.parse(el.querySelector("canvas").dataset.counts || "[]"));
          }
          return counts;
        }""",
        {"esm": widget._esm, "spec": widget.spec},
    )
    y = window_starts(60, 0)
    data = memnb.orthogonal_set(3, 2)
    end = memnb.score_flow(y, memnb.RampDenoiser(data, 0.1), math.inf)
    assert counts == 2 * [list(memnb.classify(end, data).counts().values())]
