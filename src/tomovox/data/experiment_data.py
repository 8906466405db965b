"""Which data does an experiment ask for? A folder, a phantom, or the sample of real scans."""

from dataclasses import dataclass


@dataclass
class PhantomData:
    """Arguments of `tomovox data phantom`."""

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


@dataclass
class SampleData:
    """Arguments of `tomovox data sample`; without `archives` they are downloaded once."""

    shape: tuple[int, int, int] = (32, 64, 64)
    archives: str | None = None


@dataclass
class DataSource:
    """Where the data come from: a folder that exists, or a set made for the experiment."""

    root: str | None = None
    phantom: PhantomData | None = None
    sample: SampleData | None = None
