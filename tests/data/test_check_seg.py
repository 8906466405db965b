"""Is what term_dictionary.json lacks, or has too much of, told name by name?"""

import json

import pytest

from tomovox.data.check_seg import check_terms
from tomovox.data.faults import Faults

WHOLE = {"liver": ["The largest gland."], "spleen": ["It sorts out old blood cells."]}


def checked(path, content: object) -> tuple[list[str], list[str]]:
    """Write a dictionary; return the names of no class, and the faults as text."""
    path = path / "term_dictionary.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    faults = Faults(collect=True)
    unknown = check_terms(path, {"liver", "spleen"}, {"liver": "0003/0003.json"}, faults)
    return unknown, [str(fault) for fault in faults.found]


def test_descriptions_of_all_classes_are_whole(tmp_path):
    assert checked(tmp_path, WHOLE) == ([], [])


def test_names_of_no_class_are_returned(tmp_path):
    assert checked(tmp_path, WHOLE | {"livr": ["A typo."]}) == (["livr"], [])


def test_a_class_of_which_no_mask_is_listed_needs_no_description(tmp_path):
    assert checked(tmp_path, {"liver": WHOLE["liver"]}) == ([], [])


def test_a_listed_class_without_a_description_is_a_fault(tmp_path):
    _, (fault,) = checked(tmp_path, {"spleen": WHOLE["spleen"]})
    assert "no description of 'liver', a class of 0003/0003.json" in fault


@pytest.mark.parametrize("texts", [[], None, "The largest gland.", ["One.", " "], [3]])
def test_a_name_without_whole_descriptions_is_a_fault(tmp_path, texts):
    _, (fault,) = checked(tmp_path, WHOLE | {"liver": texts})
    assert "'liver'" in fault


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_file_that_is_no_dictionary_is_one_fault(tmp_path, content):
    unknown, faults = checked(tmp_path, content)
    assert (unknown, len(faults)) == ([], 1)
