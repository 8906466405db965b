"""What do the tables of a synthetic CT-RATE say? Reports, labels, metadata, questions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomovox.data.ct_rate import (
    ABNORMALITIES,
    LABELS,
    METADATA,
    NO_CHEST,
    QUESTIONS,
    REPORT_COLUMNS,
    REPORTS,
    TABLES,
    VOLUME,
)
from tomovox.data.ct_rate_questions import ALL_FORMS

METADATA_HEAD = (
    "VolumeName,Manufacturer,SeriesDescription,ManufacturerModelName,PatientSex,PatientAge,"
    "ReconstructionDiameter,DistanceSourceToDetector,DistanceSourceToPatient,GantryDetectorTilt,"
    "TableHeight,RotationDirection,ExposureTime,XRayTubeCurrent,Exposure,FilterType,GeneratorPower,"
    "FocalSpots,ConvolutionKernel,PatientPosition,RevolutionTime,SingleCollimationWidth,"
    "TotalCollimationWidth,TableSpeed,TableFeedPerRotation,SpiralPitchFactor,"
    "DataCollectionCenterPatient,ReconstructionTargetCenterPatient,ExposureModulationType,CTDIvol,"
    "ImagePositionPatient,ImageOrientationPatient,SliceLocation,SamplesPerPixel,"
    "PhotometricInterpretation,Rows,Columns,XYSpacing,RescaleIntercept,RescaleSlope,RescaleType,"
    "NumberofSlices,ZSpacing,StudyDate"
)
"""The first line of the metadata: 44 columns, of which those that nothing reads stay empty."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """How a scanner reconstructs: kernels, and per kernel the slice distance and matrix factor."""

    name: str
    model: str
    intercept: int
    kernels: tuple[str, str]
    sharp: tuple[bool, bool]
    slice_mm: tuple[float, float]
    matrix: tuple[int, int]


VENDORS = (
    Vendor("Philips", "iCT 256", -1024, ("YA", "B"), (True, False), (1.5, 0.75), (2, 1)),
    Vendor(
        *("SIEMENS", "SOMATOM Force", -1024, ("['Bl57d', '3']", "['Br36d', '3']")),
        *((True, False), (1.5, 1.5), (1, 1)),
    ),
    Vendor(
        *("Siemens Healthineers", "SOMATOM go.All", -8192, ("['Br40f', '3']", "['Br60f', '3']")),
        *((False, True), (1.0, 1.0), (1, 1)),
    ),
)


@dataclass(slots=True)
class Written:
    """What a scan adds to the tables of its split, a row per volume."""

    split: str
    reports: list[tuple[str, ...]] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    questions: list[Any] = field(default_factory=list)


def metadata_row(
    name: str,
    vendor: Vendor,
    k: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
) -> dict[str, Any]:
    """Return what the metadata say of reconstruction k, of `shape` (n H W) and spacing in mm."""
    return {
        VOLUME: name,
        "Manufacturer": vendor.name,
        "ManufacturerModelName": vendor.model,
        "ConvolutionKernel": vendor.kernels[k],
        "PatientPosition": "HFS",
        "ImageOrientationPatient": "[1, 0, 0, 0, 1, 0]",
        "Rows": shape[1],
        "Columns": shape[2],
        "XYSpacing": f"[{spacing[1]}, {spacing[2]}]",
        "RescaleIntercept": vendor.intercept,
        "RescaleSlope": 1,
        "RescaleType": "HU",
        "NumberofSlices": shape[0],
        "ZSpacing": spacing[0],
    }


def write_tables(folder: Path, split: str, written: Sequence[Written]) -> None:
    """Write reports, labels, metadata, questions and the empty list of what is no chest."""
    rows: dict[str, list[Sequence[Any]]] = {
        REPORTS: [REPORT_COLUMNS, *(row for w in written for row in w.reports)],
        LABELS: [(VOLUME, *ABNORMALITIES), *(row for w in written for row in w.labels)],
        METADATA: [METADATA_HEAD.split(",")],
    }
    for told in (row for w in written for row in w.metadata):
        rows[METADATA].append([told.get(column, "") for column in rows[METADATA][0]])
    for kind in rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows[kind])
        (folder / kind / TABLES[kind][split]).write_text(text.getvalue(), encoding="utf-8")
    items = [item for w in written for item in w.questions]
    path = folder / QUESTIONS / ALL_FORMS.format(split=split)
    path.write_text(json.dumps(items, indent=1), encoding="utf-8")
    (folder / NO_CHEST.format(split=split)).write_text("", encoding="utf-8")
