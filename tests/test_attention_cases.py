"""Are case sheets of volumes that nobody picks, with one local question of a type?"""

from dataclasses import replace

import pytest
from test_attention_cell import tiny_rows

from tomovox import attention_cases
from tomovox.attention_cases import MOST_QUESTIONS, SHEETS, case_sheets
from tomovox.attention_cell import read_looking


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    return read_looking(tiny_rows(tmp_path_factory.getbasetemp()) / "med2e3-s0")


@pytest.fixture
def drawn(monkeypatch):
    """What each sheet is given to draw, in place of a drawing."""
    given = []
    monkeypatch.setattr(attention_cases, "case_sheet", lambda *parts: given.append(parts))
    return given


def test_sheets_are_numbered(looking, drawn):
    assert list(case_sheets({("m", 0): looking})) == [f"case-{n}" for n in range(1, SHEETS + 1)]


def test_a_sheet_is_about_one_volume_and_its_local_closed_questions(looking, drawn):
    case_sheets({("m", 0): looking})
    for records, _, _, _ in drawn:
        (mine,) = records.values()
        assert len({looked.volume for looked in mine}) == 1
        assert all(looked.located and looked.task == "vqa_closed" for looked in mine)
        kinds = [looked.question_type for looked in mine]
        assert 0 < len(kinds) == len(set(kinds)) <= MOST_QUESTIONS


def test_a_sheet_has_the_slices_and_what_was_answered(looking, drawn):
    case_sheets({("m", 0): looking})
    for records, slices, answers, references in drawn:
        for looked in records["m"]:
            assert len(slices) == len(looked.scores)
            assert answers["m"][looked.id] == looking.answers[looked.id].text
            assert references[looked.id] == looking.answers[looked.id].reference


def test_the_first_seed_of_a_model_is_shown(looking, drawn):
    other = replace(looking, attended=[], answers={})
    case_sheets({("m", 1): other, ("m", 0): looking})
    assert all(records["m"] for records, _, _, _ in drawn) and len(drawn) == SHEETS


def test_the_same_volumes_are_shown_whatever_the_order_of_the_records(looking, drawn):
    case_sheets({("m", 0): looking})
    case_sheets({("m", 0): replace(looking, attended=looking.attended[::-1])})
    volumes = [next(iter(records.values()))[0].volume for records, _, _, _ in drawn]
    assert volumes[:SHEETS] == volumes[SHEETS:]


def test_without_local_evidence_there_is_no_sheet(looking):
    unknown = [replace(looked, evidence=(), scope="") for looked in looking.attended]
    assert case_sheets({("m", 0): replace(looking, attended=unknown)}) == {}
