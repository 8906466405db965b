"""Do the descriptions of the phantom's classes describe without naming?"""

from __future__ import annotations

import pytest

from tomovox.data.phantom_body import KINDS, ORGANS
from tomovox.data.phantom_terms import TERMS


def test_every_class_is_described():
    assert set(TERMS) == {*KINDS, *ORGANS}


@pytest.mark.parametrize("name", TERMS)
def test_a_class_has_five_descriptions_that_do_not_name_it(name: str):
    assert len(TERMS[name]) >= 5
    assert not any(name in text.lower() for text in TERMS[name])


def test_no_description_fits_two_classes():
    texts = [text for described in TERMS.values() for text in described]
    assert len(set(texts)) == len(texts)
