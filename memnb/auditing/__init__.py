"""Chapter 7: an audit of a generator: does it copy its training data?

:func:`audit` takes three sets of points, training, generated and held out, and returns what five
measures of memorization say, each beside its value for held-out points, with an error and with one
sentence on what it can and cannot see. It is public as ``memnb.audit``, and on the command line as
``python -m memnb audit``.

- :mod:`memnb.auditing.inputs`: what is taken and what is refused.
- :mod:`memnb.auditing.neighbors`: exact nearest neighbors among many points, in blocks.
- :mod:`memnb.auditing.copying`: copies by the ratio of distances, and their test.
- :mod:`memnb.auditing.measures`: the other measures, and what each is blind to.
- :mod:`memnb.auditing.densities`: the book's P(Δ > 0) for any three sets.
- :mod:`memnb.auditing.verdict`: when it is that the generator copies.
- :mod:`memnb.auditing.audit`: the whole.
"""

from .audit import Audit, Pair, audit
from .inputs import Sets
from .measure import Measure

__all__ = ["Audit", "Measure", "Pair", "Sets", "audit"]
