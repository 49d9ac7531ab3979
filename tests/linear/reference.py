"""The linear model in mpmath: everything with 50 digits, by the definitions, without logarithms."""

from dataclasses import fields

import mpmath as mp
import torch


def tensors(some, prefix=""):
    """All tensors of simulations, by name."""
    named = {}
    for field in fields(some):
        value = getattr(some, field.name)
        if isinstance(value, torch.Tensor):
            named[prefix + field.name] = value
        elif value is not None:
            named |= tensors(value, f"{prefix}{field.name}.")
    return named


def context(digits=50):
    """A context of its own, so that no other test's precision changes."""
    own = mp.mp.clone()
    own.dps = digits
    return own


def _rows(c, array, mean=0):
    return [[c.mpf(float(v)) + mean for v in row] for row in array]


def _dot(c, a, b):
    return c.fsum(p * q for p, q in zip(a, b, strict=True))


def _center(c, rows):
    mean = [c.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
    return mean, [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]


def _gram(c, a, b):
    return c.matrix([[_dot(c, p, q) for q in b] for p in a])


class Exact:
    """One simulation with 50 digits.

    The data are shifted to the mean ``mu``, so that nothing relies on centering. The covariance is
    kept as U M U^T: with U = Y_c^T and n x n matrices for n <= d, with U = I and d x d for n > d.
    """

    def __init__(self, y, x, model, mu=10, transposed=False):
        c = self.c = context()
        n, d = y.shape
        self.n, self.d, self.sigma = n, d, c.mpf(model.sigma)
        shrink = c.exp(-c.mpf(model.T))
        noise = c.mpf(model.lam) * (1 - shrink**2)
        self.mu = c.mpf(mu)
        self.rows = _rows(c, y, self.mu)
        mean_y, yc = _center(c, self.rows)
        mean_x, xc = _center(c, _rows(c, x, shrink * self.mu))
        variance = c.fsum(v * v for row in yc for v in row) / (n * d)
        self.variance = shrink**2 * variance + noise
        shift = [shrink * a - b for a, b in zip(mean_y, mean_x, strict=True)]
        if n <= d and not transposed:
            inner = _gram(c, xc, xc)
            inverse = (inner + c.ones(n)) ** -1  # the ones fill the null space of centering
            weights = inverse * c.matrix([_dot(c, row, shift) for row in xc])
            moved = [c.fsum(weights[i] * yc[i][k] for i in range(n)) for k in range(d)]
            self.basis = yc
            self.core = self.variance * inverse * inner * inverse
            self.inner = _gram(c, yc, yc)
        else:
            xm, ym = c.matrix(xc), c.matrix(yc)
            if n > d:
                theta = ((xm.T * xm) ** -1 * (xm.T * ym)).T
            else:
                theta = (xm.T * (xm * xm.T + c.ones(n)) ** -1 * ym).T
            moved = list(theta * c.matrix(shift))
            self.basis = None
            product = theta.T * theta if transposed else theta * theta.T
            self.theta, self.core = theta, self.variance * product
        self.mean = [a + b for a, b in zip(mean_y, moved, strict=True)]

    def _density(self, points, added):
        """Values of N(p | mean, covariance + added I) at each point."""
        c, d = self.c, self.d
        away = [[v - m for v, m in zip(p, self.mean, strict=True)] for p in points]
        if self.basis is None:
            total = self.core + added * c.eye(d)
            inverse, det = total**-1, c.det(total)
            squares = [(c.matrix(r).T * inverse * c.matrix(r))[0] for r in away]
        else:  # Woodbury
            middle = c.eye(self.n) + self.core * self.inner / added
            det = c.det(middle) * added**d
            middle = middle**-1 * self.core
            squares = []
            for r in away:
                u = c.matrix([_dot(c, b, r) for b in self.basis])
                squares.append((_dot(c, r, r) - (u.T * middle * u)[0] / added) / added)
        norm = c.sqrt((2 * c.pi) ** d * det)
        return [c.exp(-s / 2) / norm for s in squares]

    def _self_term(self, points, width):
        c, n = self.c, len(points)
        total = c.mpf(n)  # the diagonal, kept
        for i in range(n):
            for j in range(i):
                square = c.fsum((a - b) ** 2 for a, b in zip(points[i], points[j], strict=True))
                total += 2 * c.exp(-square / (4 * width**2))
        return total / n**2 * (4 * c.pi * width**2) ** (-c.mpf(self.d) / 2)

    def delta(self, originals, widths):
        """The difference of the two squared distances, diagonals and all."""
        c = self.c
        widths = [c.mpf(w) for w in widths]
        sets = (self.rows, _rows(c, originals, self.mu))
        distances = [
            self._self_term(points, w) - 2 * c.fsum(self._density(points, w**2)) / len(points)
            for points, w in zip(sets, widths, strict=True)
        ]
        return distances[0] - distances[1]

    def expected_delta(self, n_originals, widths):
        """Its expectation over the original set."""
        c, d = self.c, self.d
        first, second = (c.mpf(w) for w in widths)
        own = self._self_term(self.rows, first)
        own -= 2 * c.fsum(self._density(self.rows, first**2)) / self.n
        total = self.sigma**2 + second**2
        other = (4 * c.pi * second**2) ** (-c.mpf(d) / 2) / n_originals
        other += (1 - c.mpf(1) / n_originals) * (4 * c.pi * total) ** (-c.mpf(d) / 2)
        other -= 2 * self._density([[self.mu] * d], total)[0]
        return own - other

    def width(self, n):
        """sigma n^(-1/d), with all digits."""
        return self.sigma * self.c.mpf(n) ** (-self.c.mpf(1) / self.d)

    def affinity(self):
        """Integral of the root of the product of the two densities, for n > d."""
        c, d = self.c, self.d
        both = self.core + self.sigma**2 * c.eye(d)
        away = c.matrix([m - self.mu for m in self.mean])
        exponent = -(away.T * both**-1 * away)[0] / 4
        root = c.sqrt(c.sqrt(c.det(self.core) * self.sigma ** (2 * d)))
        return root / c.sqrt(c.det(both / 2)) * c.exp(exponent)

    def kl_from(self):
        """Kullback-Leibler divergence of the generated from the true Gaussian, for n > d."""
        c, d = self.c, self.d
        away = c.fsum((m - self.mu) ** 2 for m in self.mean)
        trace = c.fsum(self.core[k, k] for k in range(d))
        log_det = c.log(c.det(self.core)) - 2 * d * c.log(self.sigma)
        return ((trace + away) / self.sigma**2 - d - log_det) / 2
