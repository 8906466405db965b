"""What do the files beside the volumes of the sample say? Splits, questions, masks, provenance.

Names and columns are those of the phantom, so that one reader serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tomovox.data.phantom_body import PLANES
from tomovox.data.phantom_text import Question
from tomovox.data.published_tables import (
    SEG,
    SERIES_COLUMNS,
    Referred,
    SeriesTexts,
    write_cap,
    write_json,
    write_refseg,
    write_table,
    write_vqa,
)
from tomovox.data.sample_archives import ARCHIVES
from tomovox.data.sample_sources import ORGANS, SOURCES, TUMOUR, Study, spoken
from tomovox.data.sample_terms import terms

CODES = {"9001": ORGANS, "9002": (TUMOUR,)}
"""Codes of M3D-Seg that no published set has -> the labels of their classes."""

README = """Real CT and MR scans in the layout of M3D-Cap, M3D-VQA, M3D-Seg and M3D-RefSeg.

{studies} studies of {patients} patients, each as axial, coronal and sagittal series: enough to
run real images through every path, far too few to claim an accuracy of any model.
All texts are derived from segmentation masks. TotalSegmentator's masks are the output of that
tool, not human labels; the tumour masks are those of PyRadiomics' test cases. No radiologist's
report was used or is imitated.

Split by patient (neither archive names its patients; scans count as one patient where their grids
are the same: example_ct_sm is a slab of example_ct):
{splits}
MR studies lie in ct_case too, the folder name of the published release.

Volumes: uint8 (1, D, H, W) of {shape}. CT is windowed from -160 to 240 HU (soft tissue) or from
-1350 to 150 HU (lung), as series.csv says; MR from its 0.5 to its 99.5 percentile. The box of the
voxels above 0 is cut out, then {resized} to the shape, so that proportions change, as
in M3D-Cap. Where an axis shrinks, neighbours are averaged. Masks take the nearest voxel.
Axial D, coronal and sagittal H run from head to feet; axial H, coronal D and sagittal W from front
to back; axial and coronal W and sagittal D from the patient's right to the left.
Question types: 1 plane; 2 modality and window (contrast phases are not known for certain, so none
is asked); 3 structure marked or not; 4 what the masks mark: a tumour, or nothing where the
label map of TotalSegmentator looked for kidney cysts and found none; 5 side and third of the
centre of a mask. A structure below 0.5 ml counts as neither. The breast image is cut to
one side, so no side is asked of it. A choice "NA" fills up fewer than four.
evidence.csv: vqa is <split>/<row of the csv, from 0>; slices are indices of D.
M3D-Seg codes: 9001 structures, 9002 tumour; training and test cases only, as in the release.
M3D_Seg_npy/term_dictionary.json: class -> descriptions in words of our own; none holds the last
word of its class name. M3D-RefSeg: the axial series of the training and test studies with a tumour,
which is 1 in mask.npy. M3D_RefSeg.csv is the training split alone. A tumour's side and third are
told where type 5 would ask them; question types: 0 description, 1 reasoning.
SOURCES.txt and LICENSES: where the scans come from. sample.json: what gives these bytes again.
"""


@dataclass(slots=True)
class SeriesRow:
    """What one series adds to the tables; `evidence` holds the slices of each question."""

    image: str
    plane: str
    native_slices: int
    questions: list[Question]
    yes_no: list[Question]
    evidence: list[tuple[int, ...]]
    masks: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """A written study without its voxels."""

    number: int
    folder: str
    split: str
    window: str
    series: list[SeriesRow]
    referred: list[Referred] = field(default_factory=list)


def write_tables(
    root: Path, shape: tuple[int, int, int], written: Sequence[Written], native: bool = False
) -> None:
    """Write all files but volumes, masks, reports, licences and sample.json."""
    texts = [
        SeriesTexts(w.split, s.image, f"{w.folder}/text.txt", s.questions, s.evidence, s.yes_no)
        for w in written
        for s in w.series
    ]
    write_cap(root, texts)
    write_vqa(root, texts)
    _write_seg(root, written)
    write_refseg(root, [(w.split, f"{w.number:06d}", w.referred) for w in written if w.referred])
    rows = [
        (s.image, f"{w.number:06d}", s.plane, w.window, "", s.native_slices)
        for w in written
        for s in w.series
    ]
    write_table(root / "series.csv", SERIES_COLUMNS, rows)
    patients = {s.patient for s in SOURCES}
    splits = "".join(
        f"  {n:06d} {s.split:5} patient {s.patient:8} {ARCHIVES[s.archive].name}: {s.image}\n"
        for n, s in enumerate(SOURCES, 1)
    )
    text = README.format(
        studies=len(SOURCES),
        patients=len(patients),
        splits=splits,
        shape=f"[all slices, {shape[1]}, {shape[2]}]" if native else list(shape),
        resized="height and width are resized" if native else "every axis is resized",
    )
    (root / "README.txt").write_text(text, encoding="utf-8")
    sources = "".join(
        f"{a.name}, {a.licence} (LICENSES/{a.project}.txt)\n"
        f"  file:    {a.file}\n  sha256:  {a.sha256}\n"
        + "".join(
            f"  member:  {path}\n"
            for s in SOURCES
            if ARCHIVES[s.archive] is a
            for path in (s.image, s.labels[0], *(m for _, m in s.masks))
            if path
        )
        for a in ARCHIVES.values()
    )
    (root / "SOURCES.txt").write_text(sources, encoding="utf-8")


def class_number(label: str) -> tuple[str, int]:
    """Return the code of M3D-Seg and the class number of a label."""
    code = next(code for code, labels in CODES.items() if label in labels)
    return code, CODES[code].index(label)


def plane_slices(study: Study, plane: str) -> int:
    """Return the number of slices that the scan itself has along the slices of a plane."""
    return study.image.shape[PLANES[plane][0]]


def _write_seg(root: Path, written: Sequence[Written]) -> None:
    for code in CODES:
        splits: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
        for w in written:
            for s in w.series:
                for found, image, label in s.masks:
                    if found == code:
                        splits[w.split].append({"image": image, "label": label})
        write_json(root / SEG / code / f"{code}.json", splits)
    classes = {code: [spoken(label) for label in labels] for code, labels in CODES.items()}
    write_json(root / SEG / "dataset_info.json", classes)
    write_json(root / SEG / "term_dictionary.json", terms())
