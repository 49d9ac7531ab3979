r"""Exact flows of coupled ramps, from event to event.

A sum of ramps about a center, :math:`h(y) = \bar x + \sum_n u_n \varphi_n(z_n)` with
:math:`z_n = u_n^\top (y - \bar x)`, moves its own coordinates: with the Gram matrix
:math:`G_{nm} = u_n^\top u_m`,

.. math:: \frac{dz}{dr} = G\, \varphi(z) - z .

For orthogonal data G is the identity and each coordinate is on its own. Otherwise they pull at one
another, but each :math:`\varphi_n` is still piecewise linear. As long as no coordinate passes the
foot or the top of its ramp, the ODE is linear: with slopes :math:`D = \operatorname{diag}(s_n)` on
the ramps that are active and 0 on the others, the velocity is :math:`v(r) = e^{(GD - I) r} v(0)`.
The eigenvectors :math:`q_j` and eigenvalues :math:`\mu_j` of the symmetric matrix
:math:`D^{1/2} G D^{1/2}` give the matrix exponential and its integral,

.. math::

    z(r) = z(0) + (1 - e^{-r})\, v(0)
         + \sum_j G D^{1/2} q_j\, (q_j^\top D^{1/2} v(0))\, F(\mu_j, r),
    \qquad F(\mu, r) = \int_0^r e^{-t}\, \frac{e^{\mu t} - 1}{\mu}\, dt .

This holds for singular G too (three directions in a plane) and for z outside the range of G.

**Events.** The next event is the first time at which a coordinate leaves its piece. It is found by
steps that cannot skip a crossing: a coordinate with velocity :math:`w` toward an edge at distance
:math:`g` cannot reach it before the root of :math:`w r + \tfrac12 B r^2 = g`, where B bounds
:math:`|z''|` ahead. These steps converge quadratically, like Newton's method, but from one side.

**Infinite time.** The flow is a gradient flow: :math:`h - y` descends
:math:`\tfrac12 \lVert y - \bar x \rVert^2 - \sum_n \Phi_n(z_n)` with
:math:`\Phi_n' = \varphi_n`. It ends on a piece on which nothing grows, and its limit there is a
formula.

**Probability flow.** Let all ramps have the same width :math:`W = h_n - \ell_n` at
:math:`\rho = 0`, and let :math:`\rho = \alpha\sigma`. Where z is relative to its ramp,
:math:`w_n = (z_n - \ell_n - \rho) / (W - 2\rho)`, then obeys
:math:`\sigma (W - 2\alpha\sigma)\, dw_n/d\sigma = \ell_n + W w_n - (G \varphi)_n` with
:math:`\varphi_n = L_n \operatorname{clip}(w_n, 0, 1)`. In the time
:math:`\theta = \log \frac{W - 2\alpha\sigma}{\sigma}` and for the point
:math:`\tilde z_n = \ell_n + W w_n` this is

.. math:: \frac{d\tilde z}{d\theta} = G\, \varphi_0(\tilde z) - \tilde z,

the *score flow at zero radius*: the same exact solution serves both. Ramps of different widths
have different clocks, and no such reduction is known to us.
"""

import math

import torch

__all__ = ["count_events", "move", "probability_flow_coupled", "score_flow_coupled"]

ROUNDING = 45  # machine epsilons; smaller distances and speeds, relative to the ramps, are zero
EPS = torch.finfo(torch.float64).eps
MAX_STEPS = 100_000
CHUNK = 4_000_000  # numbers in a batch of matrices


def _growth(mu, r):
    r"""The integral :math:`F(\mu, r)`, for mu >= 0 of shape (B, K) and r of shape (B, 1)."""
    rate = mu - 1
    finite = r.clamp(max=1e300)
    grown = torch.where(rate.abs() > 1e-13, torch.expm1(rate * finite) / rate, finite)
    direct = (grown + torch.expm1(-r)) / mu.clamp(min=1e-3)
    # Small mu cancels. There F = sum_k mu^(k-1) P(k+1, r) with the incomplete gamma function P.
    series = torch.zeros_like(direct)
    for k in range(6, 0, -1):
        series = series * mu + torch.special.gammainc(torch.full_like(r, k + 1.0), finite)
    return torch.where(mu < 1e-3, series, direct)


class _Batch:
    """Coordinates of many starts, each on its own linear piece and with its own clock."""

    def __init__(self, z, gram, start, stop, lengths, r, rounding):
        self.z, self.gram, self.start, self.stop = z.clone(), gram, start, stop
        self.slope = lengths / (stop - start)
        self.lengths = lengths
        self.left = torch.full(z.shape[:1], float(r), dtype=z.dtype, device=z.device)
        # Piece of each coordinate: 0 below its ramp, 1 on it, 2 above it.
        self.piece = (z > start).long() + (z >= stop).long()
        self.events = torch.zeros_like(self.left, dtype=torch.long)
        unit = float(torch.maximum(lengths, stop - start).max())
        self.tiny, self.near = rounding * unit, ROUNDING * unit
        self.neutral = 10 * rounding  # growth rates up to this are 0
        shape = (*z.shape, z.shape[1])
        self.mu, self.modes = torch.zeros_like(z), torch.zeros(shape).to(z)
        self.project = torch.zeros(shape).to(z)
        self.linearize(torch.arange(len(z), device=z.device))

    def linearize(self, rows):
        """Eigenvectors of the pieces on which the given rows are now."""
        if not len(rows):
            return
        root = ((self.piece[rows] == 1) * self.slope).sqrt()
        symmetric = root[:, :, None] * self.gram * root[:, None, :]
        mu, q = torch.linalg.eigh(symmetric)
        q = root[:, :, None] * q
        self.mu[rows], self.project[rows], self.modes[rows] = mu.clamp(min=0), q.mT, self.gram @ q

    def target(self, rows):
        """The point G phi(z) that the velocity G phi(z) - z aims at."""
        piece, z = self.piece[rows], self.z[rows]
        ramp = torch.where(piece == 1, self.slope * (z - self.start), (piece == 2) * self.lengths)
        return ramp @ self.gram

    def step(self, rows):
        """Move the given rows as far as is safe; return those that are done."""
        z, piece, mu = self.z[rows], self.piece[rows], self.mu[rows]
        target, tiny = self.target(rows), self.tiny
        v = target - z
        amplitude = (self.project[rows] @ v[..., None]).squeeze(-1)
        forever = self.left[rows].isinf()
        # Without end, what rounding put on a mode that does not decay must not decide.
        still = forever[:, None] & (mu > 1 - self.neutral) & (amplitude.abs() < tiny)
        amplitude = torch.where(still, 0.0, amplitude)
        modes = self.modes[rows] * amplitude[:, None, :]

        low = torch.where(piece == 0, -math.inf, torch.where(piece == 1, self.start, self.stop))
        high = torch.where(piece == 2, math.inf, torch.where(piece == 1, self.stop, self.start))
        gap = torch.stack([z - low, high - z])
        outward = torch.stack([-v, v])
        at_edge = gap <= tiny
        crossing = at_edge & (outward > tiny)

        # The velocity is a sum of exponentials, base e^(-r) + sum_j part_j e^((mu_j - 1) r). Modes
        # of tiny mu stay as they are, since splitting them would cancel.
        split = (mu > 0.05)[:, None, :]
        part = torch.where(split, modes / mu.clamp(min=0.05)[:, None, :], 0.0)
        rest = torch.where(split, 0.0, modes).abs().sum(dim=-1)
        base = (v - part.sum(dim=-1)).abs() + rest / 0.95  # F(0.05, inf) = 1 / 0.95

        # How far a coordinate can go in infinite time, if all its modes decay.
        decays = mu < 1 - self.neutral
        reach = torch.where(decays, 1 / (1 - mu).clamp(min=self.neutral), math.inf)
        reach = torch.where(part == 0, 0.0, part.abs() * reach[:, None, :]).sum(dim=-1) + base
        near = (z.abs() <= self.near).all(dim=-1)  # farther out, rounding blurs the distances
        settled = (reach <= gap + tiny).all(dim=0).all(dim=-1) & forever & near

        # Safe step; over the horizon no growing mode grows by more than a factor e.
        fastest = (mu - 1).amax(dim=-1, keepdim=True).clamp(min=1e-12)
        horizon = torch.minimum(1 / fastest, self.left[rows, None])
        growth = ((mu - 1).abs() * (fastest * horizon).exp())[:, None, :]
        # A base below rounding goes nowhere; kept, it would shorten the steps of a slow flow.
        bound = torch.where(base < tiny, 0.0, base) + (part.abs() * growth).sum(dim=-1)
        room = gap.clamp(min=tiny)
        root = (outward.square() + 2 * bound * room).sqrt()
        toward = 2 * room / (outward + root)
        away = (root - outward) / bound
        safe = torch.where(outward > 0, toward, away).nan_to_num(nan=math.inf, posinf=math.inf)
        safe = torch.where(room.isinf(), math.inf, safe).amin(dim=(0, 2))
        dr = torch.minimum(safe, horizon.squeeze(-1))
        turn = crossing.any(dim=0).any(dim=-1) & ~settled
        dr = torch.where(settled, math.inf, torch.where(turn, 0.0, dr))

        r = dr[:, None]
        kept = torch.exp(-r)
        weight = torch.where(amplitude == 0, 0.0, amplitude * _growth(mu, r))
        moved = (self.modes[rows] @ weight[..., None]).squeeze(-1)
        self.z[rows] = kept * z - torch.expm1(-r) * target + moved  # z far away does not cancel
        self.left[rows] = torch.where(settled, 0.0, self.left[rows] - dr)
        self.piece[rows] = piece + crossing[1].long() - crossing[0].long() if turn.any() else piece
        if settled.any():
            self.piece[rows[settled]] = piece[settled]
        changed = rows[turn]
        self.events[changed] += 1
        self.linearize(changed)
        return rows[self.left[rows] <= 0]


def _move(z, gram, start, stop, lengths, r, rounding):
    batch = _Batch(z, gram, start, stop, lengths, r, rounding)
    rows = torch.arange(len(z), device=z.device) if r > 0 else torch.arange(0)
    for _ in range(MAX_STEPS):
        if not len(rows):
            return batch.z, batch.events
        batch.step(rows)
        rows = rows[batch.left[rows] > 0]
    raise RuntimeError(f"{len(rows)} starts did not settle within {MAX_STEPS} steps")


def move(z, gram, start, stop, lengths, r, eps=EPS):
    r"""Solve :math:`dz/dr = G \varphi(z) - z` exactly.

    Parameters
    ----------
    z : Tensor of float64, shape (B, K)
        Coordinates at time 0.
    gram : Tensor, shape (K, K)
        Gram matrix :math:`G` of the directions, positive semidefinite.
    start, stop, lengths : Tensor, shape (K,)
        Foot :math:`a_n`, top :math:`b_n > a_n` and height :math:`L_n > 0` of each ramp.
    r : float
        Duration :math:`r \ge 0`; ``math.inf`` gives the limit. There a start counts as exactly on
        an unstable point's stable side if rounding (45 eps) is all that says otherwise.
    eps : float
        Relative precision of the data.

    Returns
    -------
    z : Tensor, shape (B, K)
        Coordinates at time r.
    events : Tensor of int64, shape (B,)
        How many times a coordinate has passed the foot or top of a ramp; crossings at the same
        time count once.

    Raises
    ------
    ValueError
        If a coordinate is not finite.
    RuntimeError
        If a start does not settle within 100 000 steps.
    """
    if not torch.isfinite(z).all():
        raise ValueError("y must be finite, got nan or inf")
    size = max(1, CHUNK // z.shape[1] ** 2)
    rounding = ROUNDING * eps
    parts = [_move(part, gram, start, stop, lengths, r, rounding) for part in z.split(size)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _gram(training_set):
    gram = training_set.directions.double() @ training_set.directions.double().mT
    return gram.fill_diagonal_(1)


def _flow(y, training_set, change, kept):
    """Replace the coordinates of y by change(z); what is off their span shrinks by ``kept``."""
    z = training_set.coordinates(y)
    back = torch.linalg.pinv(training_set.directions.double()).mT.to(y)
    off_plane = y - training_set.center - z @ back
    moved = change(z.double().reshape(-1, z.shape[-1])).reshape(z.shape).to(y)
    return training_set.center + moved @ back + kept * off_plane


def score_flow_coupled(y, denoiser, r):
    """Exact score flow of any sum of ramps; see :func:`memnb.minnorm.flows.score_flow`."""
    s = denoiser.training_set
    gram = _gram(s)
    ends = [t.double() for t in (denoiser.start, denoiser.stop, s.lengths)]
    eps = torch.finfo(s.directions.dtype).eps
    return _flow(y, s, lambda z: move(z, gram, *ends, r, eps)[0], math.exp(-r))


def count_events(y, denoiser, r):
    r"""How many times a coordinate passes the foot or top of its ramp in a score flow.

    Parameters
    ----------
    y, denoiser, r
        As in :func:`memnb.minnorm.flows.score_flow`.

    Returns
    -------
    Tensor of int64, shape (...)
        Events of each start; crossings at the same time count once.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> from .denoisers import RampDenoiser
    >>> y = torch.tensor([[0.95, -1.0], [0.6, -1.0], [0.7, 0.4]], dtype=torch.float64)
    >>> count_events(y, RampDenoiser(orthogonal_set(3, 2), 0.1), math.inf)
    tensor([0, 1, 2])
    """
    s = denoiser.training_set
    ends = [t.double() for t in (denoiser.start, denoiser.stop, s.lengths)]
    z = s.coordinates(y).double()
    eps = torch.finfo(s.directions.dtype).eps
    events = move(z.reshape(-1, z.shape[-1]), _gram(s), *ends, r, eps)[1]
    return events.reshape(z.shape[:-1])


def probability_flow_coupled(y, denoiser, sigma_0, sigma_1):
    """Probability flow, ramps of one width; see :func:`memnb.minnorm.flows.probability_flow`."""
    s = denoiser.training_set
    gram, low, high = _gram(s), s.low.double(), s.high.double()
    width, lengths = high - low, s.lengths.double()
    eps = torch.finfo(s.directions.dtype).eps
    rho_0, kept = denoiser.rho, sigma_1 / sigma_0
    rho_1 = rho_0 * kept
    # The width is the same for all ramps; its first value sets the clock.
    narrow = [float(width[0]) - 2 * rho for rho in (rho_0, rho_1)]
    theta = math.log(narrow[1] / narrow[0]) - math.log(kept) if kept > 0 else math.inf

    def change(z):
        tilde = low + width * (z - low - rho_0) / (width - 2 * rho_0)
        tilde = move(tilde, gram, low, high, lengths, max(theta, 0.0), eps)[0]
        return low + rho_1 + (width - 2 * rho_1) * (tilde - low) / width

    return _flow(y, s, change, kept)
