"""The plan of a long run: nothing twice, nothing lost, and training only what is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memnb.unet.plan import missing, plan, selection
from memnb.unet.runs import PROTOCOL, RUNS, OnSynthetic

NETWORKS = [OnSynthetic(n, "x", seed, PROTOCOL) for seed in range(3) for n in (10, 30, 100)]
KEYS = [network.key for network in NETWORKS]
some = st.sets(st.sampled_from(KEYS))


@given(some, some, some, st.booleans(), st.booleans())
def test_nothing_is_done_twice_or_lost(stored, finished, selected, again, partial):
    chosen = set() if partial else selected
    if not stored | finished | chosen:
        with pytest.raises(ValueError, match="no network of the run is selected, finished"):
            plan(NETWORKS, stored, finished, selected, again=again, partial=partial)
        return
    steps = plan(NETWORKS, stored, finished, selected, again=again, partial=partial)
    keys = [step.network.key for step in steps]
    assert keys == [key for key in KEYS if key in stored | finished | chosen]
    by = {step.network.key: step.source for step in steps}
    trained = {key for key, source in by.items() if source == "train"}
    assert trained == (chosen if again else chosen - stored - finished)
    assert all(key in finished for key, source in by.items() if source == "finished")
    assert all(key in stored for key, source in by.items() if source == "stored")
    assert missing(NETWORKS, steps) == [key for key in KEYS if key not in by]


@given(some, some)
def test_a_second_call_trains_nothing(stored, selected):
    """What the first call has written is stored, and all of it is taken as it is."""
    if not stored | selected:
        return
    after = {step.network.key for step in plan(NETWORKS, stored, set(), selected)}
    again = plan(NETWORKS, after, set(), selected)
    assert {step.network.key for step in again} == after
    assert {step.source for step in again} == {"stored"}


@given(some, some)
def test_training_again_keeps_all_that_is_not_selected(stored, selected):
    if not stored | selected:
        return
    steps = plan(NETWORKS, stored, set(), selected, again=True)
    sources = {step.network.key: step.source for step in steps}
    assert sources == dict.fromkeys(stored, "stored") | dict.fromkeys(selected, "train")


@given(st.integers(1, 2000), st.integers(0, 5))
def test_a_selection_is_what_both_limits_allow(max_n, max_seed):
    everything = RUNS["paper"]
    chosen = selection(everything, max_n, max_seed)
    assert chosen == [n for n in everything if n in selection(everything, max_n)
                      and n in selection(everything, None, max_seed)]  # fmt: skip
    assert all(n.n <= max_n and n.seed <= max_seed for n in chosen)
    rest = [n for n in everything if n not in chosen]
    assert all(n.n > max_n or n.seed > max_seed for n in rest)
    assert selection(everything) == everything
