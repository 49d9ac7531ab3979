r"""Chapter 7: when an audit gives a verdict.

The verdict rests on the two measures whose null is known whatever the generator, *copies* and
*nearer to training*, and on points that are equal. A generator that is too narrow or too wide
changes the other measures without copying anything; the chapter shows by how much. With a share c
of copies by the first measure, the second one must be about :math:`\tfrac12 + \tfrac{c}{2}` (times
the part of the training set that was looked at).

- *copies*: the share of copies exceeds that of held-out points at the level :math:`10^{-3}`, and
  "nearer to training" does not contradict it by more than three of its errors; or generated points
  are equal to training points, as chance cannot make them.
- *unclear*: it does contradict it. More points than held-out ones lie close to a single training
  point, but no closer to training than to held-out points, as if they were made where data have
  fewer dimensions. Also: many generated points lie on a few training points, too few to tell copies
  from few new points made over and over; held-out points are training points as often as generated
  ones; or no copies were found, but a mistake in the sets is likely (their values lie in different
  ranges, or generated points are nearer to *held-out* points).
- *depends*: "nearer to training" alone exceeds 1/2 at that level. Blurred copies look like this,
  and so does overfitting that makes no single copy, and so do held-out points of another law.
- *none*: neither does, and a share of copies of at most 10 % would have been found.
- *few*: neither does, but a larger share could have been missed.

A share "would have been found" if the test of copies finds it at the level :math:`10^{-3}` in 95 %
of all cases. This assumes that copies are spread over the training set, as those of points drawn at
random from it are.

**Equal points.** A generated point that is equal to a training point is conclusive if chance does
not make such points: no held-out point is equal to a training point, and either generated points
are so more often at the level :math:`10^{-3}`, or all held-out points stay away from training
points by more than ten times the step of the values and no training point occurs twice. In data of
few values, where held-out points do coincide with training points, both count as copies.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm

from .inputs import LEVEL
from .measure import Measure
from .reference import Features
from .rows import Equal

__all__ = ["LEVEL", "POWER", "VERDICTS", "Evidence", "judge"]

POWER = 0.95
MAX_MISSED = 0.1
MANY_ERRORS = 4  # binomial errors beyond which more close points are no accident
STEPS = 10  # distance, in steps of the values, at which chance makes no equal points
VERDICTS = {
    "copies": "The generator copies training points.",
    "unclear": "It is unclear whether the generator copies training points.",
    "depends": "The generator depends on its training points; no exact copies were found.",
    "none": "No copies were found.",
    "few": "There are too few points to tell.",
}


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    Parameters
    ----------
    near, copied : Measure
        "Nearer to training" and "copies".
    looked_at : float
        Part of the training set among which "nearer" was sought.
    smallest : float
        Smallest share of copies that the test finds.
    on_one, ones : int
        Number of generated points below the threshold, and of training points nearest to them.
    equal : Equal
    equal_by_chance : bool
        False if held-out points stay so far from training points that chance makes no equal ones.
    doubts : tuple of str
        Likely mistakes in the sets.
    """

    near: Measure
    copied: Measure
    looked_at: float
    smallest: float
    on_one: int
    ones: int
    equal: Equal
    equal_by_chance: bool
    doubts: tuple[str, ...]

    @classmethod
    def of(
        cls,
        measures: dict[str, Measure],
        generated: Features,
        held_out: Features,
        threshold: float,
        looked_at: float,
        smallest: float,
        equal: Equal,
        doubts: tuple[str, ...],
    ) -> "Evidence":
        """Put it together from the measures and the features of the points."""
        close = generated.index[generated.ratio < threshold]
        near = measures["nearer"]
        if near.error > 0 and (0.5 - near.value) / near.error > norm.isf(LEVEL):
            doubts += (
                f"only {near.value:.1%} of the generated points are nearer to training than to "
                "held-out points, which have to be of one law: were the two sets exchanged",
            )
        copied = measures["copies"]
        independent = len(np.unique(held_out.index))  # those with one nearest point are not
        count = round(copied.null * independent)
        if not equal.kept_share and binom.sf(count - 1, independent, threshold) < LEVEL:
            doubts += (
                f"{copied.null:.1%} of the held-out points are much closer to one training point "
                f"than to any other, and chance makes {threshold:.1%} at most: were generated and "
                "held-out points exchanged, or are held-out points copies too",
            )
        return cls(
            near=near,
            copied=copied,
            looked_at=looked_at,
            smallest=smallest,
            on_one=len(close),
            ones=len(np.unique(close)),
            equal=equal,
            equal_by_chance=not held_out.d1.min() > STEPS * equal.step,
            doubts=doubts,
        )

    def conclusive(self) -> bool:
        """Whether generated points are equal to training points as chance cannot make them."""
        equal = self.equal
        alone = equal.generated and not equal.held_out and not equal.in_training
        return equal.by_number or bool(alone and not self.equal_by_chance)


def judge(given: Evidence) -> tuple[str, str]:
    """The verdict and its reason.

    Parameters
    ----------
    given : Evidence

    Returns
    -------
    verdict, reason : str
        One of :data:`VERDICTS`, and a sentence with the numbers.
    """
    near, copied, equal = given.near, given.copied, given.equal
    closer = (
        f"{near.value:.1%} of the generated points are nearer to training than to held-out ones"
    )
    on_one = (
        f"{copied.value:.1%} of the generated points are much closer to one training point than to "
        f"any other, against {copied.null:.1%} of the held-out points (p = {copied.p:.1g})"
    )
    excess = copied.value - copied.null
    expected = 0.5 + copied.copied * given.looked_at * (1 - equal.kept_share) / 2
    close = copied.p < LEVEL and excess > 0
    contradicted = near.value < expected - 3 * near.error
    if close and equal.left_out and equal.generated and not equal.generated_more:
        return "unclear", (
            f"{equal.generated} of {equal.n_generated} generated points are equal to training "
            f"points, but so were {equal.held_out} of {equal.n_held_out} held-out points, which "
            "were left out."
        )
    if close and not contradicted:
        return "copies", f"{on_one}; {closer} (1/2 if nothing is copied)."
    if given.conclusive():
        return "copies", (
            f"{equal.generated} generated points copy {equal.training} training points: they are "
            f"equal to them, and no held-out point is. {closer[0].upper()}{closer[1:]}."
        )
    if close:
        return "unclear", f"{on_one}, but only {closer}, where {expected:.1%} are expected."
    if excess > MANY_ERRORS * np.hypot(copied.error, copied.null_error):
        return "unclear", (
            f"{given.on_one} generated points lie on {given.ones} training points, too few to tell "
            "copies from new points that happen to be close, or that were made over and over: "
            f"{on_one}."
        )
    # Points left out of the held-out set are missing from what may be nearer
    least = near.value - (equal.held_out / equal.n_held_out / 2 if equal.left_out else 0)
    if near.p < LEVEL and norm.sf((least - 0.5) / near.error) < LEVEL:
        return "depends", (
            f"{closer} (1/2 if it does not, p = {near.p:.1g}), provided that training and held-out "
            "points are of one law."
        )
    if given.doubts:
        return "unclear", f"{on_one}; {closer}. But {'; and '.join(given.doubts)}?"
    verdict = "none" if given.smallest <= MAX_MISSED else "few"
    sensitivity = (
        f"exact copies, if spread over the training set, would have been found from a share of "
        f"{given.smallest:.1%} on"
    )
    return verdict, f"{on_one}; {closer}; {sensitivity}."
