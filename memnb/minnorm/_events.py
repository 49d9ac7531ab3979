r"""Chapter 3: coupled ramps, solved exactly from event to event.

The coordinates :math:`z_n = u_n^\top (y - \bar x)` of a flow under a sum of ramps move on their
own. With the Gram matrix :math:`G_{nm} = u_n^\top u_m`,

.. math:: \frac{dz}{dr} = G\, \varphi(z) - z .

For orthogonal data G is the identity and each coordinate is on its own. Otherwise they pull at one
another, but each :math:`\varphi_n` is still piecewise linear. As long as no coordinate passes the
foot or the top of its ramp, the ODE is linear: with slopes :math:`D = \operatorname{diag}(s_n)` on
the ramps that are active and 0 on the others, the velocity is :math:`v(r) = e^{(GD - I) r} v(0)`.
Let :math:`q_j` be the eigenvectors of the symmetric matrix :math:`D^{1/2} G D^{1/2}`,
:math:`\mu_j` its eigenvalues, :math:`p_j = D^{1/2} q_j` and
:math:`A_j = p_j^\top v(0)`. Then

.. math::

    z(r) &= e^{-r} z(0) + G\, c(r), \\
    c(r) &= (1 - e^{-r})\, \varphi(z(0)) + \sum_j p_j A_j F(\mu_j, r), \\
    F(\mu, r) &= \int_0^r e^{-t}\, \frac{e^{\mu t} - 1}{\mu}\, dt .

The coefficients c give the point itself, :math:`y(r) = \bar x + e^{-r} (y(0) - \bar x) +
\sum_n c_n u_n`, without an inverse of G. So G may be singular (three directions in a plane).

**Small rates.** Near right angles and for small balls the *rates* :math:`\mu_j - 1` are small, and
so are the speeds. Neither is formed as a difference of numbers near 1: with :math:`G = I + E` the
rates are eigenvalues of :math:`D^{1/2} G D^{1/2} - I = (D - I) + D^{1/2} E D^{1/2}`, and
:math:`v = (\varphi - z) + E \varphi`, in which :math:`s_n - 1` and :math:`\varphi_n - z_n` come
from the radius.

**Events.** The velocity on a piece is a sum of exponentials, :math:`v(r) = b e^{-r} + \sum_j
(A_j / \mu_j)\, G p_j\, e^{(\mu_j - 1) r}`. If the distances that its terms can cover together do
not reach an edge in the time that is left, the piece is the last one. Otherwise the first time at
which a coordinate reaches an edge is found by steps that cannot skip it: with velocity :math:`w`
toward an edge at distance :math:`g` this is not before the root of :math:`w r + \tfrac12 B r^2 =
g`, where B bounds :math:`|z''|` ahead. These steps converge quadratically, like Newton's method,
but from one side.

**Infinite time.** The flow is a gradient flow: :math:`h - y` descends
:math:`\tfrac12 \lVert y - \bar x \rVert^2 - \sum_n \Phi_n(z_n)` with
:math:`\Phi_n' = \varphi_n`. It ends on a piece on which nothing grows. Whether a mode grows, and
whether a point lies on the stable side of an unstable one, is decided down to rounding: a rate of
less than 45 machine epsilons is zero, and so is the amplitude of a mode that 45 epsilons in the
position or the speed explain.

**Derivative.** The velocity is continuous across an event, so that the change of the event's time
does not matter, and :math:`\partial z(r) / \partial z(0)` is the product of the matrix
exponentials of the pieces. In terms of c it obeys, on a piece of duration r,

.. math::

    \frac{\partial c}{\partial z_0} \leftarrow e^{-r} \frac{\partial c}{\partial z_0}
    + \sum_j p_j\, \frac{e^{(\mu_j - 1) r} - e^{-r}}{\mu_j}\, p_j^\top
    \frac{\partial z}{\partial z_0} .
"""

import math
from dataclasses import dataclass

import torch

from ._ramps import EPS, Ramps, growth, response, span

__all__ = ["Moved", "move"]

ROUNDING = 45  # machine epsilons; smaller distances and speeds, relative to the ramps, are zero
SMALL = 0.05  # modes of smaller mu are not split off, since that would cancel
MAX_STEPS = 20_000
CHUNK = 4_000_000  # numbers in a batch of matrices


@dataclass(frozen=True)
class Moved:
    r"""Where coordinates have gone.

    Parameters
    ----------
    z : Tensor, shape (B, K)
        Coordinates at the end.
    c : Tensor, shape (B, K)
        Coefficients of the point along the directions.
    events : Tensor of int64, shape (B,)
        How many times a coordinate passed the foot or top of a ramp; crossings at the same time
        count once.
    jacobian : Tensor, shape (B, K, K), or None
        :math:`\partial c_n / \partial z_m(0)`.
    """

    z: torch.Tensor
    c: torch.Tensor
    events: torch.Tensor
    jacobian: torch.Tensor | None


@dataclass(frozen=True)
class _Motion:
    """How some starts move on their pieces."""

    height: torch.Tensor  # phi(z), (B, K)
    target: torch.Tensor  # G phi(z), (B, K)
    velocity: torch.Tensor  # without what only rounding explains, (B, K)
    noise: torch.Tensor  # what rounding explains of it, (B, K)
    amplitude: torch.Tensor  # A, (B, K)
    still: torch.Tensor | None  # modes whose amplitude only rounding explains, (B, K)
    gap: torch.Tensor  # distances to the lower and the upper edge, (2, B, K)
    reach: torch.Tensor  # how far each coordinate can go in the time left, (B, K)
    horizon: torch.Tensor  # time in which no mode grows by more than a factor e, (B,)
    bound: torch.Tensor  # of the acceleration, up to the horizon, (B, K)


class _Batch:
    """Coordinates of many starts, each on its own linear piece and with its own clock."""

    def __init__(self, z: torch.Tensor, ramps: Ramps, r: float, jacobian: bool) -> None:
        self.ramps, self.forever = ramps, math.isinf(r)
        self.z, self.c = z.clone(), torch.zeros_like(z)
        self.left = torch.full(z.shape[:1], float(r), dtype=z.dtype, device=z.device)
        # Piece of each coordinate: 0 below its ramp, 1 on it, 2 above it.
        self.piece = (z > ramps.start).long() + (z >= ramps.stop).long()
        self.events = torch.zeros_like(self.left, dtype=torch.long)
        unit = ramps.unit
        self.tiny, self.near = ROUNDING * EPS * unit, ROUNDING * unit
        self.rounding = ROUNDING * ramps.eps
        # Without end, a coordinate that goes beyond an edge by no more than rounding of the data
        # stays on its piece: velocities without neutral modes may point to the edge from both sides
        self.slack = self.rounding * unit if self.forever else self.tiny
        shape = (*z.shape, z.shape[1])
        self.rate, self.project = torch.zeros_like(z), torch.zeros(shape).to(z)
        self.modes = torch.zeros(shape).to(z)
        self.jacobian = torch.zeros(shape).to(z) if jacobian else None
        self.decay = torch.ones_like(self.left)
        self.linearize(torch.arange(len(z), device=z.device))

    def linearize(self, rows: torch.Tensor) -> None:
        """Rates and modes of the pieces on which the given rows are now."""
        if not len(rows):
            return
        active = self.piece[rows] == 1
        root = active * self.ramps.slope.sqrt()
        excess = active * self.ramps.excess
        matrix = root[:, :, None] * self.ramps.coupling * root[:, None, :]
        # Flat coordinates have no mode; a rate of the size of the others keeps those exact.
        fill = torch.maximum(excess, matrix.abs().amax(dim=-1)).amax(dim=-1, keepdim=True)
        matrix += torch.diag_embed(torch.where(active, excess, -fill))
        rate, q = torch.linalg.eigh(matrix)
        if self.forever:
            rate = torch.where(rate.abs() <= self.rounding, 0.0, rate)
        p = root[:, :, None] * q
        self.rate[rows], self.project[rows] = rate.clamp(min=-1), p.mT
        self.modes[rows] = p + self.ramps.coupling @ p

    def speed(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Heights phi(z), velocity G phi(z) - z, and the size of the terms of which it is made."""
        ramps, piece, z = self.ramps, self.piece[rows], self.z[rows]
        below, above = piece == 0, piece == 2
        rise = z - ramps.start
        height = torch.where(above, ramps.lengths, torch.where(below, 0.0, ramps.slope * rise))
        own = torch.where(above, ramps.beyond - (z - ramps.stop), ramps.excess * rise - ramps.start)
        own = torch.where(below, -z, own)
        size = z.abs() + ramps.start.abs()
        weight = torch.where(below | above, 1.0, ramps.excess.abs())
        most = torch.where(above, ramps.lengths, torch.where(below, 0.0, ramps.slope * size))
        terms = weight * size + ramps.start.abs() + most @ ramps.coupling.abs()
        return height, own + height @ ramps.coupling, terms

    def motion(self, rows: torch.Tensor) -> _Motion:
        """The velocity of the given rows as a sum of exponentials, and what follows from it."""
        height, v, terms = self.speed(rows)
        z, piece, rate, left = self.z[rows], self.piece[rows], self.rate[rows], self.left[rows]
        mu, modes = 1 + rate, self.modes[rows]
        amplitude = (self.project[rows] @ v[..., None]).squeeze(-1)
        noise = ROUNDING * EPS * terms
        split = mu > SMALL
        share = torch.where(split, amplitude / mu.clamp(min=SMALL), 0.0)
        lasting, still = share, None
        if self.forever:
            # Without end, what rounding put on a mode that does not decay must not decide.
            root = (piece == 1) * self.ramps.slope.sqrt()
            blur = (root * terms).norm(dim=-1, keepdim=True)
            blur = blur + rate.abs() * self.ramps.unit * root.norm(dim=-1, keepdim=True)
            still = (rate >= 0) & (amplitude.abs() < self.rounding * blur)
            lasting = torch.where(still, 0.0, share)
        total, moving = (modes @ torch.stack([share, lasting], dim=-1)).unbind(dim=-1)

        finite = left[:, None]
        growing = torch.where(lasting == 0, 0.0, rate).amax(dim=-1)
        horizon = torch.minimum(1 / growing.clamp(min=1e-300), left)
        path = torch.where(lasting == 0, 0.0, lasting.abs() * span(rate, finite))
        steeper = torch.where(lasting == 0, 0.0, rate.clamp(min=0) * horizon[:, None]).exp()
        bend = lasting.abs() * rate.abs() * steeper
        rest = torch.where(split, 0.0, amplitude).abs()
        reach, bound, rest = (modes.abs() @ torch.stack([path, bend, rest], -1)).unbind(dim=-1)
        base = v - total
        size = base.abs() + rest / (1 - SMALL)  # F(mu, inf) = 1 / (1 - mu)
        # A base below rounding goes nowhere, and would shorten the steps of a slow flow.
        quiet = size < noise
        size = torch.where(quiet, 0.0, size)

        start, stop = self.ramps.start, self.ramps.stop
        low = torch.where(piece == 0, -math.inf, torch.where(piece == 1, start, stop))
        high = torch.where(piece == 2, math.inf, torch.where(piece == 1, stop, start))
        return _Motion(
            height=height,
            target=height + height @ self.ramps.coupling,
            velocity=torch.where(quiet, 0.0, base) + moving,
            noise=noise,
            amplitude=amplitude,
            still=still,
            gap=torch.stack([z - low, high - z]),
            reach=reach + size,
            horizon=horizon,
            bound=bound + size,
        )

    def safe_duration(self, m: _Motion, outward: torch.Tensor) -> torch.Tensor:
        """A time before which no edge can be reached, shape (B,)."""
        room = m.gap.clamp(min=self.tiny)
        # hypot: the square of a far start's velocity overflows
        root = torch.hypot(outward, (2 * m.bound).sqrt() * room.sqrt())
        safe = torch.where(outward > 0, 2 * room / (outward + root), (root - outward) / m.bound)
        safe = safe.nan_to_num(nan=math.inf, posinf=math.inf)
        safe = torch.where(room.isinf(), math.inf, safe).amin(dim=(0, 2))
        return torch.minimum(safe, m.horizon)

    def advance(self, rows: torch.Tensor, m: _Motion, dr: torch.Tensor) -> None:
        """Move the given rows for the times dr, which must not lead beyond their pieces."""
        r, rate = dr[:, None], self.rate[rows]
        share, lost = torch.exp(-r), torch.expm1(-r)
        weight = torch.where(m.amplitude == 0, 0.0, m.amplitude * growth(rate, r))
        if m.still is not None:  # take out what the first term has of such a mode
            weight = torch.where(m.still, m.amplitude * lost / (1 + rate), weight)
        moved = (weight[:, None, :] @ self.project[rows]).squeeze(1)
        self.c[rows] = share * self.c[rows] - lost * m.height + moved
        moved = moved + moved @ self.ramps.coupling
        self.z[rows] = share * self.z[rows] - lost * m.target + moved  # z far away cancels not
        if self.jacobian is not None:
            c, p = self.jacobian[rows], self.project[rows]
            z = (
                c
                + self.ramps.coupling @ c
                + torch.diag_embed(self.decay[rows, None].expand_as(rate))
            )
            change = p.mT @ (response(rate, r)[..., None] * (p @ z))
            self.jacobian[rows] = share[..., None] * c + change
            self.decay[rows] *= torch.exp(-dr)

    def turn(self, rows: torch.Tensor, crossing: torch.Tensor) -> None:
        """Put coordinates that cross their lower or upper edge, (2, B, K), on the next piece."""
        if not len(rows):
            return
        down, up = crossing
        piece = self.piece[rows]
        upper = torch.where(down, piece, piece + 1)  # the edge is the foot of this piece
        edge = torch.where(upper == 1, self.ramps.start, self.ramps.stop)
        self.z[rows] = torch.where(down | up, edge, self.z[rows])
        self.piece[rows] = piece + up.long() - down.long()
        self.events[rows] += 1
        self.linearize(rows)

    def step(self, rows: torch.Tensor) -> None:
        """Move the given rows as far as is safe, or across an edge."""
        m = self.motion(rows)
        near = (self.z[rows].abs() <= self.near).all(dim=-1)  # farther out, rounding blurs
        settled = (m.reach <= m.gap + self.slack).all(dim=0).all(dim=-1) & near
        outward = torch.stack([-m.velocity, m.velocity])
        # A speed below slope times gap may turn on the way to the edge.
        clear = outward > m.noise + self.ramps.slope * m.gap.clamp(min=0)
        crossing = (m.gap <= self.tiny) & clear | (m.gap < -2 * self.tiny) & (outward > 0)
        turn = crossing.any(dim=0).any(dim=-1) & ~settled
        dr = self.safe_duration(m, outward)
        dr = torch.where(settled, self.left[rows], torch.where(turn, 0.0, dr))
        self.advance(rows, m, dr)
        self.left[rows] = torch.where(settled, 0.0, self.left[rows] - dr)
        self.turn(rows[turn], crossing[:, turn])


def _move(z: torch.Tensor, ramps: Ramps, r: float, jacobian: bool) -> Moved:
    batch = _Batch(z, ramps, r, jacobian)
    rows = torch.arange(len(z) if r > 0 else 0, device=z.device)
    for _ in range(MAX_STEPS):
        if not len(rows):
            return Moved(batch.z, batch.c, batch.events, batch.jacobian)
        batch.step(rows)
        rows = rows[batch.left[rows] > 0]
    raise RuntimeError(f"{len(rows)} starts did not settle within {MAX_STEPS} steps")


def move(z: torch.Tensor, ramps: Ramps, r: float, jacobian: bool = False) -> Moved:
    r"""Solve :math:`dz/dr = G \varphi(z) - z` exactly.

    Parameters
    ----------
    z : Tensor of float64, shape (B, K)
        Coordinates at time 0, finite.
    ramps : Ramps
        The ramps and their coupling, on the device of z.
    r : float
        Duration :math:`r \ge 0`; ``math.inf`` gives the limit.
    jacobian : bool
        Whether to solve for the derivative too. That of the limit is not finite at a start that
        goes to an unstable point.

    Returns
    -------
    Moved

    Raises
    ------
    RuntimeError
        If a start does not settle within 20 000 steps.
    """
    size = max(1, CHUNK // z.shape[1] ** 2)
    parts = [_move(part, ramps, r, jacobian) for part in z.split(size)]
    return Moved(
        torch.cat([p.z for p in parts]),
        torch.cat([p.c for p in parts]),
        torch.cat([p.events for p in parts]),
        torch.cat([p.jacobian for p in parts]) if jacobian else None,
    )
