"""What does a parity case say? A folder with case.json and what the published code gave.

case.json states kind, sizes and reference state-dict keys; the tensors lie in expected.safetensors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from tomovox.parsed import is_count, read_object
from tomovox.schema import TomovoxError

CASE, EXPECTED = "case.json", "expected.safetensors"
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """A read case.json. `place` is the folder as tables print it."""

    file: Path
    place: str
    facts: dict[str, Any]

    def fault(self, what: str) -> TomovoxError:
        """Return the error to raise about this case."""
        return TomovoxError(f"{self.file}: {what}; mend or remove this parity case")

    def fact(self, kind: type[T], *keys: str) -> T:
        """Return what stands under `keys`; TomovoxError unless it is of `kind` (int, list, ...)."""
        value: Any = self.facts
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if kind is float and is_count(value):
            return kind(value)  # type: ignore[call-arg]
        if not isinstance(value, kind):
            raise self.fault(f"{'.'.join(keys)} is not of type {kind.__name__}")
        return value

    def count(self, *keys: str) -> int:
        """Return the whole number from 1 under `keys`."""
        value = self.fact(int, *keys)
        if value < 1:
            raise self.fault(f"{'.'.join(keys)} is {value}, wanted a number from 1")
        return value

    def size(self, *keys: str) -> tuple[int, int, int]:
        """Return the (D, H, W) under `keys`."""
        value = self.fact(list, *keys)
        if len(value) != 3 or not all(isinstance(n, int) and n > 0 for n in value):
            raise self.fault(f"{'.'.join(keys)} is not three sizes (D, H, W)")
        return value[0], value[1], value[2]

    def one_of(self, known: dict[str, T], *keys: str) -> T:
        """Return the value of `known` that the word under `keys` names."""
        word = self.fact(str, *keys)
        if word not in known:
            raise self.fault(f"{'.'.join(keys)} is {word!r}, known: {', '.join(known)}")
        return known[word]

    @property
    def name(self) -> str:
        """The name that seeds the inputs of this case."""
        return self.fact(str, "case")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The reference state-dict keys with their shapes."""
        listed = self.fact(dict, "state_dict")
        if not all(
            isinstance(shape, list) and all(isinstance(n, int) for n in shape)
            for shape in listed.values()
        ):
            raise self.fault("state_dict does not map keys to shapes")
        return {key: tuple(shape) for key, shape in listed.items()}

    @cached_property
    def recorded(self) -> dict[str, Tensor]:
        """The tensors that the published code gave."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = self.file.with_name(EXPECTED)
        try:
            return load_file(file)
        except (OSError, SafetensorError) as error:
            raise TomovoxError(
                f"{file}: no readable safetensors file ({error}); copy the whole case"
            ) from None

    def expected(self, name: str) -> Tensor:
        """Return the recorded tensor `name`."""
        if name not in self.recorded:
            raise self.fault(f"{EXPECTED} lacks {name}")
        return self.recorded[name]


def find_cases(folders: Sequence[Path]) -> list[Case]:
    """Return every case under the folders at any depth, each once, in the order of the paths.

    Raises TomovoxError for a folder without a case and for a case.json that cannot be read.
    """
    cases: dict[Path, Case] = {}
    for folder in folders:
        files = sorted(folder.rglob(CASE))
        if not files:
            raise TomovoxError(f"{folder}: no {CASE} under this folder; give one of parity cases")
        for file in files:
            below = file.parent.relative_to(folder).as_posix()
            place = file.parent.resolve().name if below == "." else below
            cases.setdefault(file.resolve(), _read(file, place))
    return list(cases.values())


def _read(file: Path, place: str) -> Case:
    case = Case(file, place, read_object(file, "copy the case again"))
    case.fact(str, "kind")
    return case
