from pathlib import Path

import pytest

from tomovox.data.tokenizer import build_word_tokenizer, load_tokenizer, save_tokenizer
from tomovox.schema import TomovoxError

TEXTS = [
    "Which organ? Choices: A. Liver B. left kidney C. Spleen D. None",
    "A 3.5 cm mass (segment 4) in the liver; non-contrast. No fluid, no stone.",
    "Portal venous phase",
]


def words(tokenizer, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)


def round_trip(tokenizer, text: str) -> str:
    return tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True)


def test_a_choice_letter_is_one_token():
    assert words(build_word_tokenizer(TEXTS), "A. Liver B. Spleen D.") == [
        "A.", "liver", "B.", "spleen", "D.",
    ]  # fmt: skip


def test_the_article_is_not_a_choice_letter():
    assert words(build_word_tokenizer(TEXTS), "A mass") == ["a", "mass"]


def test_a_letter_inside_a_word_is_not_a_choice_letter():
    tokenizer = build_word_tokenizer(["DNA.x a.b"])
    assert words(tokenizer, "DNA.x A.b") == ["dna", ".", "x", "a", ".", "b"]


def test_words_numbers_and_marks_are_split():
    assert words(build_word_tokenizer(TEXTS), "3.5 cm (segment 4); non-contrast.") == [
        "3.5", "cm", "(", "segment", "4", ")", ";", "non-contrast", ".",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["B. liver", TEXTS[0], TEXTS[1], "no fluid, no stone: none?"])
def test_text_survives_but_for_case(text):
    decoded = round_trip(build_word_tokenizer([*TEXTS, text, "no: fluid?"]), text)
    assert decoded.lower() == text.lower()


def test_choice_letters_keep_their_case():
    assert round_trip(build_word_tokenizer(TEXTS), "B. LIVER") == "B. liver"


def test_every_letter_is_known_without_having_been_seen():
    tokenizer = build_word_tokenizer(["liver"])
    assert tokenizer.unk_token_id not in tokenizer("A. B. C. D.").input_ids


def test_special_tokens_come_first():
    tokenizer = build_word_tokenizer(TEXTS)
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3]) == ["<pad>", "<eos>", "<unk>", "<image>"]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)


def test_the_placeholder_is_one_token_and_skipped_as_special():
    tokenizer = build_word_tokenizer(TEXTS)
    assert tokenizer("<image> liver").input_ids[0] == 3
    assert round_trip(tokenizer, "<image> liver") == "liver"


def test_frequent_words_come_first_and_ties_by_text():
    tokenizer = build_word_tokenizer(["stone mass mass", "cyst stone", "liver"])
    assert tokenizer.convert_ids_to_tokens(range(8, 12)) == ["mass", "stone", "cyst", "liver"]


def test_the_order_of_texts_does_not_matter():
    first, second = build_word_tokenizer(TEXTS), build_word_tokenizer(iter(TEXTS[::-1]))
    assert first.get_vocab() == second.get_vocab()


def test_a_limit_drops_the_rarest_words():
    tokenizer = build_word_tokenizer(["stone mass mass", "cyst"], limit=9)
    assert len(tokenizer) == 9
    assert words(tokenizer, "mass cyst") == ["mass", "<unk>"]


def test_a_limit_below_the_fixed_tokens_is_refused():
    with pytest.raises(TomovoxError, match="limit"):
        build_word_tokenizer(TEXTS, limit=7)


def test_a_saved_tokenizer_reads_and_writes_the_same(tmp_path):
    built = build_word_tokenizer(TEXTS)
    save_tokenizer(built, tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.get_vocab() == built.get_vocab()
    for text in TEXTS:
        assert loaded(text).input_ids == built(text).input_ids
        assert round_trip(loaded, text) == round_trip(built, text)


def test_a_tokenizer_that_is_cut_leaves_no_folder_to_trust(tmp_path, monkeypatch):
    built, places = build_word_tokenizer(TEXTS), []

    def cut(folder):
        places.append(Path(folder))
        Path(folder).mkdir()
        (Path(folder) / "tokenizer.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(built, "save_pretrained", cut)
    with pytest.raises(KeyboardInterrupt):
        save_tokenizer(built, tmp_path / "words")
    assert not list(tmp_path.iterdir())
    assert places[0].match(".*.tmp*")  # what a kill leaves is swept


def test_a_tokenizer_joins_what_its_folder_holds(tmp_path):
    (tmp_path / "model.safetensors").write_text("weights")
    save_tokenizer(build_word_tokenizer(TEXTS), tmp_path)
    assert {"model.safetensors", "tokenizer.json"} <= {p.name for p in tmp_path.iterdir()}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(TomovoxError, match="nothing: no such folder"):
        load_tokenizer(str(tmp_path / "nothing"))


def test_a_folder_without_tokenizer_is_named(tmp_path):
    with pytest.raises(TomovoxError, match="no tokenizer found") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_seg_is_one_word_where_some_text_draws():
    tokenizer = build_word_tokenizer(["Sure, [SEG].", "the liver"])
    ids = tokenizer("Sure, [SEG].").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["sure", ",", "[SEG]", "."]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "sure, [SEG]."
    assert "[SEG]" not in build_word_tokenizer(["the liver"]).get_vocab()


@pytest.mark.parametrize("content", ["", "[]", "null", '{"unk_token": []}', "[" * 100_000])
@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer_names_its_folder(tmp_path, file, content):
    save_tokenizer(build_word_tokenizer(TEXTS), tmp_path / "words")
    (tmp_path / "words" / file).write_text(content, encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"words: no tokenizer found \("):
        load_tokenizer(str(tmp_path / "words"))
