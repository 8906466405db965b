"""Which slices of the series of a study are read, and what is told of them?"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tomovox.data.evidence import PHASES, PLANES
from tomovox.data.phantom_body import Series
from tomovox.models import slice_sequence
from tomovox.models.slice_sequence import NAMES, id_of, ids_of, kept_slices, sequences, told_of
from tomovox.schema import Studies, TomovoxError

DEPTHS = st.lists(st.integers(1, 300), min_size=1, max_size=7)


def studies_of(*depths: list[int], **names: list[str]) -> Studies:
    """Return studies whose series have so many slices."""
    study = torch.tensor([u for u, own in enumerate(depths) for _ in own])
    return Studies([torch.zeros(1, depth, 1, 1) for own in depths for depth in own], study, **names)


def counts(studies: Studies, most: int, each: int | None) -> list[int]:
    return [len(kept) for kept in kept_slices(studies, most, each)]


# ---- caps --------------------------------------------------------------------------------------


def test_below_the_caps_every_slice_is_read():
    kept = kept_slices(studies_of([3, 1], [5]), 512, 128)
    assert [each.tolist() for each in kept] == [[0, 1, 2], [0], [0, 1, 2, 3, 4]]


def test_a_series_above_its_cap_is_read_evenly_from_first_to_last():
    (kept,) = kept_slices(studies_of([9]), 512, 5)
    assert kept.tolist() == [0, 2, 4, 6, 8]


def test_a_series_that_gives_one_slice_gives_its_middle():
    (kept,) = kept_slices(studies_of([9]), 512, 1)
    assert kept.tolist() == [4]


def test_of_a_study_above_its_cap_the_longest_series_give():
    assert counts(studies_of([40, 400, 300], [500]), 240, None) == [40, 100, 100, 240]


@given(depths=DEPTHS, most=st.integers(7, 400), each=st.none() | st.integers(1, 200))
def test_caps_hold_and_no_series_is_lost(depths, most, each):
    kept = kept_slices(studies_of(depths), most, each)
    wanted = sum(min(depth, each or depth) for depth in depths)
    total = sum(map(len, kept))
    assert total <= most and (wanted > most or total == wanted)
    assert wanted <= most or total > most - len(depths)
    for depth, index in zip(depths, kept, strict=True):
        assert 1 <= len(index) <= min(depth, each or depth)
        steps = index.diff()
        ends = (0, depth - 1) if len(index) > 1 else (depth // 2, depth // 2)
        assert (index[0], index[-1]) == ends
        assert not len(steps) or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


def test_more_series_than_slices_are_refused():
    with pytest.raises(TomovoxError, match=r"^a study has 3 series, and zformer.max_slices is 2"):
        kept_slices(studies_of([1, 1, 1]), 2, None)


# ---- what is told --------------------------------------------------------------------------------


def test_places_go_from_0_to_1_in_each_series_whatever_is_left_out():
    studies = studies_of([5, 3])
    told = told_of(studies, kept_slices(studies, 512, 3), 8)
    assert told["place"].tolist() == [[0, 0.5, 1, 0, 0.5, 1]]
    assert told["slot"].tolist() == [[0, 0, 0, 1, 1, 1]]


def test_slots_are_counted_in_each_study_and_the_last_is_shared():
    studies = studies_of([1], [1, 1, 1])
    told = told_of(studies, kept_slices(studies, 512, None), 2)
    assert told["slot"].tolist() == [[0, 0, 0], [0, 1, 1]]


def test_names_become_ids_of_every_slice_of_their_series():
    studies = studies_of([2, 1], plane=["sagittal", ""], phase=["", "late arterial"])
    told = told_of(studies, kept_slices(studies, 512, None), 8)
    assert told["plane"].tolist() == [[3, 3, 0]]
    assert told["phase"].tolist() == [[0, 0, ids_of("phase") - 1]]
    assert "kernel" not in told


def test_processes_that_train_together_are_told_of_every_kind(monkeypatch):
    monkeypatch.setattr(slice_sequence, "together", lambda: True)
    studies = studies_of([2])
    told = told_of(studies, kept_slices(studies, 512, None), 8)
    assert {kind: told[kind].tolist() for kind in NAMES} == {kind: [[0, 0]] for kind in NAMES}


@pytest.mark.parametrize("kind", NAMES)
def test_ids_of_a_kind_are_untold_each_known_name_and_any_other(kind):
    ids = [id_of(kind, name) for name in ("", *NAMES[kind], "of no list")]
    assert ids == list(range(ids_of(kind)))
    assert id_of(kind, NAMES[kind][0].upper()) == 1


def test_the_names_are_those_that_data_give():
    assert NAMES["plane"] == PLANES
    assert set(NAMES["phase"]) == set(PHASES.values())
    assert Series("axial", "arterial", "soft", 8).kernel in NAMES["kernel"]


# ---- rows ----------------------------------------------------------------------------------------


def test_series_become_rows_of_studies_with_zeros_behind():
    studies = studies_of([1, 2], [1])
    rows = sequences([torch.ones(1), torch.full((2,), 2.0), torch.full((1,), 3.0)], studies)
    assert rows.tolist() == [[1, 2, 2], [3, 0, 0]]
