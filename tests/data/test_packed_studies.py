"""Do packed questions come out as they went in, and cost a reading process nothing of its own?"""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomovox.data.packed_studies import PackedStudies
from tomovox.schema import Record, Task

TEXT = st.text(max_size=8)
RECORD = st.builds(
    Record,
    *(TEXT, st.sampled_from(Task), TEXT, TEXT, st.tuples(TEXT, TEXT), TEXT, TEXT, TEXT),
    choices=st.one_of(st.just(()), st.tuples(TEXT, TEXT, TEXT, TEXT)),
    context=TEXT,
    mask=TEXT,
    mask_label=st.integers(0, 9),
)
ROLLUP = Path("/proc/self/smaps_rollup")
"""Where Linux says which pages of a process are its own."""


@given(st.lists(st.lists(RECORD, min_size=1, max_size=3), max_size=4))
def test_records_come_out_as_they_went_in(studies: list[list[Record]]) -> None:
    packed = PackedStudies(studies)
    assert list(packed) == studies
    assert [packed[-k] for k in range(1, len(packed) + 1)] == studies[::-1]
    assert packed[1:] == studies[1:]


def test_there_is_no_study_behind_the_last() -> None:
    with pytest.raises(IndexError):
        PackedStudies([])[0]


@pytest.mark.skipif(not ROLLUP.is_file(), reason="this system does not tell a process's own pages")
def test_a_reading_process_does_not_grow() -> None:
    studies = [[_question(row, k) for k in range(12)] for row in range(5000)]
    assert _grown_kib(PackedStudies(studies)) < _grown_kib(studies) / 4


def _question(row: int, k: int) -> Record:
    name = f"vqa_closed/train/{row}/{k}"
    choices = tuple(f"{word} {row} {k}" for word in ("left", "right", "both", "none"))
    return Record(
        *(name, Task.VQA_CLOSED, "train", f"{row}", (f"{row}.npy",), f"Where is {name}?", "A."),
        choices=choices,
        context=f"report {row} " + "of many words " * 50,
    )


def _grown_kib(studies: Sequence[list[Record]]) -> int:
    """Return what a copy of this process makes its own by reading every study, the first apart."""
    forking = multiprocessing.get_context("fork")
    here, there = forking.Pipe(duplex=False)
    child = forking.Process(target=_read_all, args=(studies, there))
    child.start()
    there.close()
    grown = here.recv()
    child.join()
    return int(grown)


def _read_all(studies: Sequence[list[Record]], answer: Connection) -> None:
    order = np.random.default_rng(0).permutation(len(studies)).tolist()
    for row in order[:200]:  # until Python has made room for what reading needs
        studies[row]
    before = _own_kib()
    for row in order:
        studies[row]
    answer.send(_own_kib() - before)


def _own_kib() -> int:
    """Return the memory that this process shares with no other."""
    lines = [line.split() for line in ROLLUP.read_text().splitlines()]
    return sum(int(line[1]) for line in lines if line[0].startswith("Private_"))
