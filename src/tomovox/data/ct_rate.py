"""Where do the files of CT-RATE lie, and what do its tables say of scans and volumes?

CT-RATE holds chest CT without contrast: patients with scans, a report for each scan, and one to
several reconstructions (volumes) of a scan, whose kernels and numbers of slices may differ. A
volume is named split_patient_scan_reconstruction. Source: Hamamci et al. 2024 (arXiv 2403.17834)
and the files of the release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tomovox.data.faults import DataFault, Faults
from tomovox.data.published_files import check_width, csv_rows, read_text

DATA_SET = "CT-RATE"

SPLITS = {"train": "train", "valid": "valid", "test": "valid"}
"""Split -> that of the release, which has two: its `valid` is what papers report on, so `test`."""

REPORTS, LABELS = "radiology_text_reports", "multi_abnormality_labels"
METADATA, QUESTIONS = "metadata", "vqa"
TABLES = {
    REPORTS: {"train": "train_reports.csv", "valid": "validation_reports.csv"},
    LABELS: {"train": "train_predicted_labels.csv", "valid": "valid_predicted_labels.csv"},
    METADATA: {"train": "train_metadata.csv", "valid": "validation_metadata.csv"},
}
"""Folder -> published split -> file."""

NO_CHEST = METADATA + "/no_chest_{split}.txt"
"""Volumes that show another part of the body, one name a line, as the authors list them."""

VOLUME = "VolumeName"
REPORT_COLUMNS = (
    *(VOLUME, "ClinicalInformation_EN", "Technique_EN"),
    *("Findings_EN", "Impressions_EN"),
)
METADATA_COLUMNS = (
    *(VOLUME, "ConvolutionKernel", "XYSpacing"),
    *("RescaleIntercept", "RescaleSlope", "ZSpacing"),
)
ABNORMALITIES = (
    *("Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion"),
    *("Coronary artery wall calcification", "Hiatal hernia", "Lymphadenopathy", "Emphysema"),
    *("Atelectasis", "Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela"),
    *("Pleural effusion", "Mosaic attenuation pattern", "Peribronchial thickening"),
    *("Consolidation", "Bronchiectasis", "Interlobular septal thickening"),
)
"""The 18 columns of the label tables, in their order."""

NAME = re.compile(r"(train|valid)_([0-9]{1,9})_([a-z]{1,4})_([0-9]{1,4})")
SUFFIX = ".nii.gz"
FILE_TYPE = re.compile(r"\.(nii\.gz|nii|npy|npz)$")
EMPTY = re.compile(r"(?:not given\W*)?", re.IGNORECASE)
"""What stands in a cell of a report that says nothing."""


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a volume, such as valid_53_a_1: reconstruction 1 of scan a of patient 53."""

    split: str
    patient: str
    scan: str
    volume: str

    @property
    def file(self) -> str:
        """Return the name as the tables write it."""
        return self.volume + SUFFIX


def name_of(text: str, place: str) -> Name:
    """Return the volume that a path or file name tells; DataFault for one that tells none."""
    last = text.strip().rsplit("/", 1)[-1]
    found = NAME.fullmatch(FILE_TYPE.sub("", last))
    if not found:
        what = f"{text[:80]!r} is no volume of {DATA_SET}"
        raise DataFault(place, what, "name it as valid_53_a_1.nii.gz")
    split, patient, scan, _ = found.groups()
    return Name(split, f"{split}_{patient}", f"{split}_{patient}_{scan}", found[0])


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder of CT-RATE: its tables lie in `tables`, below or at `root`."""

    root: Path
    tables: Path

    def table(self, kind: str, split: str) -> Path:
        """Return the path of the reports, labels or metadata of a published split."""
        return self.tables / kind / TABLES[kind][split]

    def volumes(self, split: str) -> PurePosixPath:
        """Return the folder, below the root, of a published split's volumes.

        The corrected volumes in `<split>_fixed` come before those in `<split>`.
        """
        folders = [
            PurePosixPath(base, name)
            for base in ("dataset", "")
            for name in (f"{split}_fixed", split)
        ]
        there = (folder for folder in folders if (self.root / folder).is_dir())
        return next(there, folders[0])


def path_of(name: Name, folder: PurePosixPath, suffix: str = ".npy") -> str:
    """Return the path of a volume below the root; `folder` is that of its split's volumes."""
    return f"{folder}/{name.patient}/{name.scan}/{name.volume}{suffix}"


def tree_of(root: Path) -> Tree | None:
    """Return the tree that a data root is; None for a root that holds no reports of CT-RATE.

    The tables lie in dataset/, as the release has them, or in the root itself.
    """
    root = Path(root)
    places = (root / "dataset", root)
    return next((Tree(root, p) for p in places if (p / REPORTS).is_dir()), None)


def published_split(split: str) -> str:
    """Return the published name of a split; DataFault for a split that CT-RATE has not."""
    if split not in SPLITS:
        raise DataFault(
            f"{DATA_SET} has no split {split!r}",
            "it has a training split, and one that papers report on",
            "give train or test",
        )
    return SPLITS[split]


# ---- what the tables say ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan with its report and reconstructions; what is not given is empty."""

    name: str
    patient: str
    volumes: tuple[Name, ...]
    findings: str
    impressions: str

    @property
    def report(self) -> str:
        """Return the findings, as the published models learn them; else the impressions."""
        return self.findings or self.impressions

    @property
    def context(self) -> str:
        """Return all that the report says, on one line."""
        return " ".join(f"{self.findings} {self.impressions}".split())


@dataclass(frozen=True, slots=True)
class Scanned:
    """How a volume was reconstructed: value * slope + intercept is in HU; spacing z, y, x in mm."""

    slope: float
    intercept: float
    spacing_mm: tuple[float, float, float]
    kernel: str


def read_scans(tree: Tree, split: str, faults: Faults | None = None) -> list[Scan]:
    """Return the scans of a published split in the order of the reports, each once.

    Volumes stand in file order. A row that names no volume of the split, names one again, has
    another report than its scan, or none at all, goes to `faults` and is left out.
    """
    faults = faults or Faults()
    scans: dict[str, Scan] = {}
    seen: set[str] = set()
    for place, name, row in rows_of(tree.table(REPORTS, split), REPORT_COLUMNS, split, faults):
        findings, impressions = told(row["Findings_EN"]), told(row["Impressions_EN"])
        scan = scans.get(name.scan)
        if name.volume in seen:
            fault = DataFault(place, f"{name.volume} stands there twice", "remove one row")
        elif not findings and not impressions:
            fault = DataFault(place, f"no report of {name.volume}", "leave the volume out")
        elif scan and (scan.findings, scan.impressions) != (findings, impressions):
            fault = DataFault(
                place,
                f"another report of {name.volume} than of {scan.volumes[0].volume}",
                "give all volumes of a scan the same one",
            )
        else:
            seen.add(name.volume)
            volumes = (*(scan.volumes if scan else ()), name)
            scans[name.scan] = Scan(name.scan, name.patient, volumes, findings, impressions)
            continue
        faults.add(fault)
    return list(scans.values())


def told(cell: str) -> str:
    """Return the text of a report's cell as released; empty where it says "Not given."."""
    text = cell.strip()
    return "" if EMPTY.fullmatch(text) else text


def read_scanned(tree: Tree, split: str, faults: Faults | None = None) -> dict[str, Scanned]:
    """Return how each volume of a published split was reconstructed, by its name."""
    faults = faults or Faults()
    found = {}
    for place, name, row in rows_of(tree.table(METADATA, split), METADATA_COLUMNS, split, faults):
        try:
            found[name.volume] = _scanned(row)
        except ValueError:
            cells = ", ".join(f"{column} {row[column]!r}" for column in METADATA_COLUMNS[2:])
            faults.add(DataFault(place, f"{cells}: not the numbers of a scan", "mend the row"))
    return found


def read_labels(
    tree: Tree, split: str, faults: Faults | None = None
) -> dict[str, tuple[bool, ...]]:
    """Return which of ABNORMALITIES each volume of a published split has, by its name.

    The release predicts them from the report by a text classifier: they are no ground truth.
    """
    faults = faults or Faults()
    found = {}
    columns = (VOLUME, *ABNORMALITIES)
    for place, name, row in rows_of(tree.table(LABELS, split), columns, split, faults):
        cells = [row[column].strip() for column in ABNORMALITIES]
        if set(cells) <= {"0", "1", "0.0", "1.0"}:
            found[name.volume] = tuple(cell.startswith("1") for cell in cells)
        else:
            faults.add(DataFault(place, "a label is neither 0 nor 1", "mend the row"))
    return found


def not_chest(tree: Tree, split: str) -> set[str]:
    """Return the names of the volumes that the authors say show no chest."""
    path = tree.tables / NO_CHEST.format(split=split)
    lines = read_text(path).splitlines() if path.is_file() else []
    return {PurePosixPath(line.strip()).name.removesuffix(SUFFIX) for line in lines} - {""}


def rows_of(
    path: Path, columns: tuple[str, ...], split: str, faults: Faults
) -> Iterator[tuple[str, Name, dict[str, str]]]:
    """Yield place, volume and cells of each row of a table; a bad row goes to `faults`.

    A volume of the other split is a fault: patients are never in both.
    """
    for number, row in enumerate(csv_rows(path, columns), 1):
        place = f"{path}: row {number}"
        try:
            check_width(row, place)
            name = name_of(row[VOLUME], place)
            if name.split != split:
                raise DataFault(place, f"{name.volume} is of another split", "remove the row")
        except DataFault as fault:
            faults.add(fault)
            continue
        yield place, name, row


def _scanned(row: dict[str, str]) -> Scanned:
    """Return the figures of a row of the metadata; ValueError when they are none."""
    down, across = (float(part) for part in row["XYSpacing"].strip(" []").split(","))
    spacing = (float(row["ZSpacing"]), down, across)
    slope, intercept = float(row["RescaleSlope"]), float(row["RescaleIntercept"])
    if not (all(0 < size < 100 for size in spacing) and 0 < slope < 1e6 and abs(intercept) < 1e6):
        raise ValueError
    kernel = row["ConvolutionKernel"].strip()
    listed = re.search(r"'([^']*)'", kernel)  # one vendor writes ['Br40f', '3']
    return Scanned(slope, intercept, spacing, listed[1] if listed else kernel)
