"""Is a model asked with the right other words, and are its weights scrambled and put back?"""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.progress import Progress
from test_attention_cell import tiny_rows

from tomovox import attention_elsewhere
from tomovox.attention_cell import read_looking
from tomovox.attention_elsewhere import SCRAMBLES, look_elsewhere, swapped_questions


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    return read_looking(tiny_rows(tmp_path_factory.getbasetemp()) / "med2e3-s0")


def elsewhere(looking, cases=1):
    with Progress(disable=True) as progress:
        return look_elsewhere(looking, cases, progress)


@pytest.fixture(scope="module")
def found(looking):
    return elsewhere(looking)


@pytest.fixture(scope="module")
def own(looking):
    chosen = [looked for asked in looking.volumes(1) for looked in asked]
    return {looked.id: looked for looked in chosen}


# ---- scrambled weights -------------------------------------------------------------------------


def test_every_question_of_a_chosen_case_is_scored_by_each_scrambled_model(found, own):
    assert found.scrambled.keys() == own.keys()
    for name, rows in found.scrambled.items():
        assert rows.shape == (SCRAMBLES, len(own[name].scores))
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-4)


def test_scrambled_models_differ_from_the_true_one_and_from_each_other(found, own):
    for name, rows in found.scrambled.items():
        assert len(np.unique([own[name].scores, *rows], axis=0)) == SCRAMBLES + 1


def test_volumes_at_a_time_change_nothing(looking, found, monkeypatch):
    monkeypatch.setattr(attention_elsewhere, "VOLUMES_AT_A_TIME", 1)
    again = elsewhere(looking)
    assert again.swapped == found.swapped
    for name, rows in found.scrambled.items():
        np.testing.assert_array_equal(again.scrambled[name], rows)


def test_a_prior_has_nothing_to_scramble(looking, tmp_path):
    shutil.copytree(looking.run.parent, tmp_path / "a")
    run = tmp_path / "a" / "med2e3-s0"
    path: Path = run / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["model"]["init_args"]["scoring"] = "gaussian"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    assert not elsewhere(read_looking(run)).scrambled


# ---- other words -------------------------------------------------------------------------------


def test_the_words_of_a_question_in_another_order_are_a_bag_of_the_same(found, own):
    """The tiny model reads the mean of the words, which has no order."""
    assert found.shuffled.keys() == own.keys()
    for name, scores in found.shuffled.items():
        np.testing.assert_allclose(scores, own[name].scores, atol=2e-6)


def test_shuffled_words_are_the_words_of_the_question(looking):
    record = next(iter(looking.records.values()))
    shuffled = attention_elsewhere._shuffled(record)
    assert Counter(shuffled.question.split()) == Counter(record.question.split())
    assert shuffled.question != record.question
    assert shuffled == attention_elsewhere._shuffled(record)


def test_a_swapped_question_is_of_the_task_another_type_and_another_case(looking):
    known = {looked.id: looked for looked in looking.attended}
    donors = swapped_questions(looking.attended)
    assert donors
    for name, donor in donors.items():
        mine, other = known[name], known[donor]
        assert mine.task == other.task
        assert mine.case != other.case and mine.question_type != other.question_type


def test_a_swapped_question_does_not_depend_on_the_order_of_the_records(looking):
    assert swapped_questions(looking.attended[::-1]) == swapped_questions(looking.attended)


def test_a_task_of_one_type_has_no_question_to_swap(looking):
    reports = [looked for looked in looking.attended if looked.task == "report"]
    assert reports and not swapped_questions(reports)


def test_another_question_moves_the_scores(found, own):
    moved = [np.subtract(scores, own[name].scores) for name, scores in found.swapped.items()]
    assert moved and np.abs(moved).max() > 1e-6
