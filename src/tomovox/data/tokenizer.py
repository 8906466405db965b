"""Which ids stand for which words, when no language model brings its own tokenizer?

A word tokenizer is built from the training texts; any other is loaded from a folder or by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.files import whole_file
from tomovox.packaged import reading_files, resolve_source
from tomovox.schema import LETTERS, TomovoxError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

PAD, EOS, UNK, PLACEHOLDER = "<pad>", "<eos>", "<unk>", "<image>"

SEG = "[SEG]"
"""What an answer says where it draws a mask (M3D-LaMed); no special token, so decoding shows it."""

WORD = r"[A-D]\.|\d+\.\d+|\w+(?:[-'’]\w+)*|[^\w\s]"
"""A letter of a choice, a decimal number, a word (hyphens inside), or one punctuation mark."""

NO_SPACE_BEFORE = r" (?=[.,;:?!)\]%])"
NO_SPACE_AFTER = r"(?<=[(\[]) "


def build_word_tokenizer(texts: Iterable[str], limit: int | None = None) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one id per word of `texts`; more frequent words come first.

    Words are lower-cased, except that the letters of choices "A." to "D." stay one token each, and
    so does [SEG] where some text has it.
    Ids 0 to 3 are <pad>, <eos>, <unk>, <image>; ties in count are ordered by text. `limit` is the
    largest number of ids, special ones included. Decoding joins words by spaces, none before . , ;
    : ? ! ) ] or after an opening bracket.
    """
    from transformers import PreTrainedTokenizerFast

    special = [PAD, EOS, UNK, PLACEHOLDER]
    letters = [f"{letter}." for letter in LETTERS]
    if limit is not None and limit < len(special) + len(letters):
        raise TomovoxError(
            f"a vocabulary of {limit} words has no room for the 8 fixed ones; raise the limit"
        )
    known_texts = Counter(texts)  # reports repeat: each is split once
    draws = any(SEG in text for text in known_texts)
    splitter = _word_level({token: place for place, token in enumerate(special)}, draws)
    counts: Counter[str] = Counter()
    for text, times in known_texts.items():
        clean = splitter.normalizer.normalize_str(text)
        for word, _ in splitter.pre_tokenizer.pre_tokenize_str(clean):
            counts[word] += times
    fixed = special + letters + [SEG] * draws
    words = sorted(counts.keys() - set(fixed), key=lambda word: (-counts[word], word))
    known = (fixed + words)[:limit]
    tokenizer = _word_level({token: place for place, token in enumerate(known)}, draws)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(name_or_folder: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder, hub name or `package:` name, without remote code.

    Raises TomovoxError when there is none.
    """
    from transformers import AutoTokenizer

    name_or_folder = resolve_source(name_or_folder)
    try:
        with reading_files():
            return AutoTokenizer.from_pretrained(name_or_folder, trust_remote_code=False)
    except ValueError as error:
        raise TomovoxError(
            f"{name_or_folder}: no tokenizer found ({error}); give a folder with tokenizer.json "
            f"or download the named model first"
        ) from None


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer to a folder that `load_tokenizer` reads.

    A folder that is not there comes about whole, or not at all: what finds it may trust it.
    """
    if folder.is_dir():  # beside weights, or of a training that is done anew
        tokenizer.save_pretrained(str(folder))
        return
    with whole_file(folder) as temporary:
        tokenizer.save_pretrained(str(temporary))


def _word_level(vocabulary: dict[str, int], draws: bool) -> Tokenizer:
    """Return the rules to split, number and join over a vocabulary; [SEG] is a word if it draws."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
    )

    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    # Lower-casing would make "A." the end of any sentence: the letters wait in private characters.
    kept = [(f"{letter}.", rf"\b{letter}\.(?=\s|$)") for letter in LETTERS]
    kept += [(SEG, r"\[SEG\]")] * draws
    hidden = {text: (pattern, chr(0xE000 + place)) for place, (text, pattern) in enumerate(kept)}
    tokenizer.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(Regex(pattern), mark) for pattern, mark in hidden.values()),
            normalizers.Lowercase(),
            *(normalizers.Replace(mark, text) for text, (_, mark) in hidden.items()),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), "removed"),
            pre_tokenizers.Split(Regex(rf"\[SEG\]|{WORD}" if draws else WORD), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=False),  # no word starts so: joins by spaces
            decoders.Fuse(),
            decoders.Replace(Regex(NO_SPACE_BEFORE), ""),
            decoders.Replace(Regex(NO_SPACE_AFTER), ""),
        ]
    )
    special = [PAD, EOS, UNK, PLACEHOLDER]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return tokenizer
