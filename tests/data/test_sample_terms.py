"""Do the descriptions of the real structures describe without naming?"""

from __future__ import annotations

import pytest

from tomovox.data.sample_sources import ORGANS, TUMOUR, spoken
from tomovox.data.sample_terms import terms


def test_every_class_is_described():
    assert set(terms()) == {spoken(label) for label in (*ORGANS, TUMOUR)}


@pytest.mark.parametrize("name", terms())
def test_a_class_has_five_descriptions_without_its_last_word(name: str):
    described = terms()[name]
    assert len(described) >= 5
    assert not any(name.split()[-1] in text.lower() for text in described)


def test_no_description_fits_two_classes():
    texts = [text for described in terms().values() for text in described]
    assert len(set(texts)) == len(texts)
