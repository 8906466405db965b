"""Which real scans make the sample, whose are they, and what do their masks say?

Letters: z y x patient axes (head to feet, front to back, right to left), D H W of a series.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from tomovox.data.images import WINDOWS
from tomovox.data.sample_archives import ARCHIVES
from tomovox.data.sample_scans import foreground, intensities, laid_on, patient_axes, read_scan
from tomovox.data.stored import Stored
from tomovox.schema import TomovoxError

CT_WINDOWS = {"CT, soft-tissue window": WINDOWS["abdomen"], "CT, lung window": WINDOWS["lung"]}
"""What a series is called -> centre and width of its window in HU."""
SOFT, LUNG = CT_WINDOWS
MR = "MR, no window"

ORGANS = (
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
    "adrenal_gland_right", "adrenal_gland_left", "small_bowel", "duodenum", "colon",
    "urinary_bladder", "prostate", "sacrum", "heart", "aorta", "inferior_vena_cava",
    "iliac_artery_left", "iliac_artery_right", "spinal_cord", "brain",
)  # fmt: skip
"""Labels of TotalSegmentator that are asked about; their places are the classes of M3D-Seg."""

TUMOUR = "tumour"
CYSTS = ("kidney_cyst_left", "kidney_cyst_right")
LEAST_ML = 0.5
"""A smaller structure counts as neither marked nor absent; a tumour is asked about at any size."""

LABELS = "totalsegmentator/map_to_binary.py"
TESTS = "tests/reference_files"
AORTA = f"{TESTS}/aorta_report/test_result/models"


@dataclass(frozen=True, slots=True)
class Source:
    """One study: where it lies in its archive, and what is known of it.

    `labels` is a label map and the key of class_map that names it; `masks` are (label, member)
    pairs of one structure each. `whole` is False where the image is cut to one side of the body,
    so that its middle is not the patient's.
    """

    patient: str
    split: str
    archive: str
    image: str
    window: str
    labels: tuple[str, str] = ("", "")
    masks: tuple[tuple[str, str], ...] = ()
    whole: bool = True


def _radiomics(case: str, split: str, window: str, whole: bool = True) -> Source:
    masks = ((TUMOUR, f"data/{case}_label.nrrd"),)
    image = f"data/{case}_image.nrrd"
    return Source(case, split, "pyradiomics", image, window, masks=masks, whole=whole)


def _segmented(
    patient: str, split: str, image: str, mask: str, window: str = SOFT, names: str = "total"
) -> Source:
    labels = (f"{TESTS}/{mask}.nii.gz", names)
    return Source(patient, split, "totalsegmentator", f"{TESTS}/{image}", window, labels)


SOURCES = (
    _segmented("abdomen", "train", "example_ct.nii.gz", "example_seg_fast_force_split"),
    _segmented("abdomen", "train", "example_ct_sm.nii.gz", "example_seg"),
    Source(
        "chest", "train", "totalsegmentator", f"{TESTS}/aorta_report/example_ct.nii.gz", SOFT,
        masks=(
            ("heart", f"{TESTS}/pulmonary_report/models/heart.nii.gz"),
            *((n, f"{AORTA}/{n}.nii.gz") for n in ("aorta", *ORGANS[18:20])),
        ),
    ),
    _segmented("mr", "train", "example_mr_sm.nii.gz", "example_seg_mr", MR, "total_mr"),
    _radiomics("lung1", "train", LUNG),
    _radiomics("brain1", "train", MR),
    _radiomics("breast1", "val", MR, whole=False),
    _segmented("petct", "test", "example_ct_dicom/", "example_seg_dicom"),
    _radiomics("lung2", "test", LUNG),
    _radiomics("brain2", "test", MR),
)  # fmt: skip
"""In the order of their case numbers. example_ct_sm is a slab of example_ct: one patient."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the centre of a structure lies; empty where that is too close to call."""

    side: str
    level: str


@dataclass(slots=True)
class Study:
    """A canonical image with its masks. `absent` labels were looked for and not found."""

    number: int
    source: Source
    image: Float[np.ndarray, "z y x"]
    masks: dict[str, Bool[np.ndarray, "z y x"]]
    absent: tuple[str, ...]
    places: dict[str, Place] = field(default_factory=dict)
    abnormality: str = ""

    @property
    def folder(self) -> str:
        """Return the folder of the case below the data root."""
        return f"M3D_Cap_npy/ct_case/{self.number:06d}"

    def series(self, plane: str) -> str:
        """Return the path of a series below the data root, such as .../Axial_MR.npy."""
        kind = self.source.window.removesuffix(", no window").replace(", ", "_")
        return f"{self.folder}/{plane.title()}_{kind.replace(' ', '_').replace('-', '_')}.npy"


def spoken(label: str) -> str:
    """Return the English of a label: left kidney for kidney_left."""
    words = label.split("_")
    if words[-1] in ("left", "right"):
        words.insert(0, words.pop())
    return " ".join(words)


def wanted_member(archive: str, name: str) -> bool:
    """Return whether a member is one that the sample is made of."""
    found = ARCHIVES[archive]
    mine = [s for s in SOURCES if s.archive == archive]
    paths = {found.licence_file, *(s.image for s in mine), *(s.labels[0] for s in mine)}
    paths |= {member for s in mine for _, member in s.masks}
    if archive == "totalsegmentator":
        paths.add(LABELS)
    path = name.removeprefix(f"{found.folder}/")
    parent = path.rpartition("/")[0] + "/"
    return name.startswith(f"{found.folder}/") and (path in paths or parent in paths)


def read_label_names(path: Path, key: str) -> dict[int, str]:
    """Return label value -> name from the source file map_to_binary.py, which is never run.

    Raises TomovoxError when class_map is not a plain literal there.
    """
    try:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "class_map":
                return {int(k): str(v) for k, v in ast.literal_eval(node.value)[key].items()}
        reason = "no such assignment"
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
    raise TomovoxError(
        f"{path}: holds no literal class_map[{key!r}] ({reason}); get the archive again"
    )


def read_study(number: int, source: Source, folder: Path) -> Study:
    """Return a study from the members of the archives, which lie under `folder`.

    Raises TomovoxError when a member is missing or cannot be read.
    """
    place = f"{ARCHIVES[source.archive].folder}/{source.image}"
    scan = read_scan(folder / place)
    image = intensities(patient_axes(scan, place), CT_WINDOWS.get(source.window), place)
    box = foreground(image)
    voxel_ml = float(np.prod(scan.spacing_mm)) / 1000
    masks, absent, cysts = {}, [], False
    for label, mask in _masks(source, scan, folder):
        size = int(np.count_nonzero(mask))
        if label in CYSTS:
            cysts |= size > 0
        elif size * voxel_ml >= LEAST_ML or (size and label == TUMOUR):
            masks[label] = mask[box]
        elif size == 0:
            absent.append(label)
    study = Study(number, source, image[box], masks, tuple(absent))
    study.places = {label: _place(mask, study) for label, mask in masks.items()}
    if TUMOUR in masks:
        study.abnormality = TUMOUR
    elif source.labels[1] == "total" and not cysts:
        study.abnormality = "none marked"
    return study


def _masks(
    source: Source, scan: Stored, folder: Path
) -> Iterator[tuple[str, Bool[np.ndarray, "z y x"]]]:
    """Yield every label that the masks of a study know, found in the image or not."""
    archive = folder / ARCHIVES[source.archive].folder
    for label, member in source.masks:
        yield label, _on_image(archive / member, scan) > 0
    member, key = source.labels
    if member:
        values = {name: value for value, name in read_label_names(archive / LABELS, key).items()}
        labelled = _on_image(archive / member, scan)
        for label in (*ORGANS, *CYSTS):
            if label in values:
                yield label, labelled == values[label]


def _on_image(path: Path, scan: Stored) -> np.ndarray:
    return patient_axes(laid_on(read_scan(path), scan), path.name)


def _place(mask: Bool[np.ndarray, "z y x"], study: Study) -> Place:
    """Return side and third of the centre of a mask, measured from the middle of the patient.

    The middle is the mean x of the body, the voxels from 0.3 on. Within 3 % of the width a centre
    is in the midline, from 8 % on it is lateral; within 4 % of the height from the border of a
    third no level is named.
    """
    height, _, width = mask.shape
    centre = [float(np.mean(places)) + 0.5 for places in np.nonzero(mask)]
    columns = (study.image > 0.3).sum(axis=(0, 1))
    middle = float(np.average(np.arange(width) + 0.5, weights=columns))
    away = (centre[2] - middle) / width
    side = "midline" if abs(away) <= 0.03 else "left" if away > 0 else "right"
    if 0.03 < abs(away) < 0.08 or not study.source.whole:
        side = ""
    third = centre[0] / height * 3
    level = ("upper", "middle", "lower")[min(2, int(third))]
    if min(abs(third - 1), abs(third - 2)) < 0.12:
        level = ""
    return Place(side, level)
