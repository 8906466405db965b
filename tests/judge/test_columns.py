"""Are two runs compared on what both answered, and on nothing else?"""

import pytest
from test_compare import samples

from tomovox.judge.columns import columns_of

ONE, TWO, THREE = (("a", 0, "none"), ("b", 0, "none"), ("c", 0, "none"))


def column_of(task: str = "vqa_closed"):
    """A column of three runs: one answered 600 records, the others two overlapping parts."""
    parts = {ONE: slice(600), TWO: slice(400), THREE: slice(200, 600)}
    runs = {r: [s | {"task": task} for s in samples(0.5, 0)[part]] for r, part in parts.items()}
    (column,) = columns_of(runs)
    return column


def test_common_records_are_those_of_every_run():
    column = column_of().common((ONE, TWO, THREE))
    assert [len(answers.ids) for answers in column.runs.values()] == [200, 200, 200]
    assert len({tuple(answers.ids) for answers in column.runs.values()}) == 1


def test_a_run_that_is_not_there_has_nothing_in_common():
    assert column_of().common((ONE, ("d", 0, "none"))) is None


@pytest.mark.parametrize(("task", "paired"), [("vqa_closed", True), ("retrieval", False)])
def test_ranks_in_galleries_of_other_sizes_are_no_pair(task, paired):
    column = column_of(task)
    assert (column.pair(ONE, TWO, "all") is not None) is paired
    assert (column.common((ONE, TWO)) is not None) is paired
    assert column.pair(ONE, ONE, "all") is not None


def test_records_and_cases_are_counted_by_type_and_in_common():
    column = column_of()
    assert column.counts(ONE, "all") == (600, 100)
    assert column.counts(ONE, "organ") == (300, 100)
    assert column.counts(TWO, "all", THREE) == (200, 34)
