import pytest

from tomovox.data.datamodule import M3DDataModule
from tomovox.data.permuted import in_every_order
from tomovox.data.prompts import Template
from tomovox.data.records import read_records
from tomovox.metrics.choice_columns import copied_question
from tomovox.schema import Prediction, Record, Task, TomovoxError


@pytest.fixture
def root(m3d):
    return m3d.fill(train=2, val=2, test=2).root


@pytest.fixture
def closed(root) -> list[Record]:
    return read_records(root, Task.VQA_CLOSED, "test")


def test_each_closed_question_is_followed_by_its_copies(closed):
    name = closed[0].id
    asked = in_every_order(closed)
    assert [r.id for r in asked[:4]] == [name, f"{name}~1", f"{name}~2", f"{name}~3"]
    assert len(asked) == 4 * len(closed) and asked[::4] == closed


def test_every_choice_stands_at_every_letter_once(closed):
    orders = [record.choices for record in in_every_order(closed)[:4]]
    assert all(set(choices) == set(closed[0].choices) for choices in zip(*orders, strict=True))


def test_the_right_letter_moves_with_its_choice(closed):
    for record in in_every_order(closed):
        letter, content = record.reference[0], record.reference[3:]
        assert record.choices["ABCD".index(letter)] == content


def test_metrics_find_the_question_of_a_copy(closed):
    for record in in_every_order(closed[:1])[1:]:
        assert copied_question(Prediction.of(record, "")) == closed[0].id


def test_other_tasks_are_asked_once(root):
    reports = read_records(root, Task.REPORT, "test")
    assert in_every_order(reports) == reports


# ---- in the data module ----------------------------------------------------------------------


def predicted(root, **options) -> list[list[Record]]:
    data = M3DDataModule(str(root), Template(), **options)
    data.setup("predict")
    return data.predict_studies()


def test_copies_are_predicted_with_their_study(root):
    plain, moved = predicted(root), predicted(root, permutations=3)
    for before, after in zip(plain, moved, strict=True):
        assert [r for r in after if "~" not in r.id] == before
        assert len(after) == len(before) + 3 * sum(r.task == Task.VQA_CLOSED for r in before)


def test_copies_are_never_trained_or_validated_on(root):
    data = M3DDataModule(str(root), Template(), permutations=3, batch_size=1)
    data.setup("fit")
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    assert not [r.id for batch in batches for r in batch.records if "~" in r.id]


@pytest.mark.parametrize("number", [-1, 1, 2, 4])
def test_some_but_not_all_orders_are_refused(root, number):
    with pytest.raises(TomovoxError, match=rf"data\.permutations is {number}; give 3"):
        M3DDataModule(str(root), Template(), permutations=number)
