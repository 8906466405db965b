"""Which data does an experiment ask for? A folder, a phantom, or the sample of real scans."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from tomovox.data.root_layout import CT_RATE, M3D
from tomovox.schema import TomovoxError

LATER = ("native", "visible_in", "layout")
"""Options of phantoms that a set without them is not named by: it keeps the name it had."""

OF_M3D = ("val_cases", "organ_masks", "organ_shift", "refseg", "visible_in")
"""Options that a phantom of layout ct_rate has not."""


@dataclass
class PhantomData:
    """Arguments of `tomovox data phantom`.

    One of layout ct_rate is prepared too, to volumes of its `shape`, or with all their slices where
    it is `native`.
    """

    cases: int = 200
    seed: int = 0
    shape: tuple[int, int, int] = (32, 64, 64)
    difficulty: str = "base"
    test_cases: int | None = None
    val_cases: int | None = None
    series: int = 2
    organ_masks: bool = False
    organ_shift: float = 0.0
    refseg: bool = False
    native: bool = False
    visible_in: str = "all"
    layout: str = M3D

    def arguments(self) -> dict[str, Any]:
        """Return the options that name the set; TomovoxError for one that its layout has not."""
        default = {field.name: field.default for field in fields(self)}
        given = {k: v for k, v in asdict(self).items() if k not in LATER or v != default[k]}
        if self.layout not in (M3D, CT_RATE):
            raise TomovoxError(f"phantom layout is {self.layout!r}; give {M3D} or {CT_RATE}")
        foreign = OF_M3D if self.layout == CT_RATE else ()
        if told := [name for name in foreign if getattr(self, name) != default[name]]:
            raise TomovoxError(
                f"phantom {told[0]}: one of layout {CT_RATE} has no such option; leave it out"
            )
        return {name: value for name, value in given.items() if name not in foreign}


@dataclass
class SampleData:
    """Arguments of `tomovox data sample`; without `archives` they are downloaded once."""

    shape: tuple[int, int, int] = (32, 64, 64)
    archives: str | None = None
    native: bool = False

    def names(self) -> list[Any]:
        """Return the options that name the set."""
        return [self.shape, "native"] if self.native else list(self.shape)


@dataclass
class DataSource:
    """Where the data come from: a folder that exists, or a set made for the experiment."""

    root: str | None = None
    phantom: PhantomData | None = None
    sample: SampleData | None = None
