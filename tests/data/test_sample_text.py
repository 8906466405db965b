"""Is nothing asked or said of a real scan that its masks do not hold?"""

from __future__ import annotations

import numpy as np
import pytest

from tomovox.data.sample_sources import LUNG, TUMOUR, Place, Source, Study
from tomovox.data.sample_text import questions, report, yes_no_questions


def _study(
    abnormality: str = "", side: str = "right", absent: tuple[str, ...] = ("brain",)
) -> Study:
    mask = np.ones((2, 2, 2), bool)
    masks = {TUMOUR: mask} if abnormality == TUMOUR else {"liver": mask, "kidney_left": mask}
    source = Source("p", "train", "pyradiomics", "data/x.nrrd", LUNG)
    places = {label: Place(side, "upper") for label in masks}
    return Study(1, source, np.ones((2, 2, 2)), masks, absent, places, abnormality)


def _asked(study: Study, seed: int = 0):
    return questions(study, "axial", list(study.masks), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_missing_choices_are_written_as_na_after_the_real_ones(seed):
    present = next(q for q, label in _asked(_study(), seed) if q.type == 3 and label)
    assert present.choices[2:] == ("NA", "NA")
    assert present.choices.index(present.answer) < 2


def test_without_an_absent_structure_no_structure_is_asked():
    assert 3 not in [q.type for q, _ in _asked(_study(absent=()))]


def test_masks_that_know_no_abnormality_are_not_asked_for_one():
    assert 4 not in [q.type for q, _ in _asked(_study())]


def test_a_tumour_is_asked_with_its_mask_as_evidence():
    found = [label for q, label in _asked(_study(TUMOUR)) if q.type == 4]
    assert found == [TUMOUR]


def test_none_marked_has_no_slices_of_its_own():
    question, label = next(x for x in _asked(_study("none marked")) if x[0].type == 4)
    assert (question.answer, question.local, label) == ("none marked", False, "")


@pytest.mark.parametrize("seed", range(5))
def test_the_side_of_a_structure_named_by_its_side_is_not_asked(seed):
    texts = [q.text for q, _ in _asked(_study(), seed) if q.answer == "right"]
    assert texts and not any("kidney" in text for text in texts)


def test_an_unclear_side_is_neither_asked_nor_told():
    study = _study(TUMOUR, side="")
    assert "right" not in {q.answer for q, _ in _asked(study)}
    assert report(study).endswith("The mask marks a tumour in the upper third.")


@pytest.mark.parametrize("seed", range(6))
def test_yes_and_no_follow_the_masks(seed):
    asked = yes_no_questions(_study(), "axial", ["liver"], np.random.default_rng(seed))
    for question in asked:
        truth = "axial" in question.text or "liver" in question.text
        assert question.answer == ("yes" if truth else "no")
