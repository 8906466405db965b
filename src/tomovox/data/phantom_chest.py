"""What does a synthetic chest show? The 18 abnormalities of CT-RATE as ellipsoids in HU.

The body is that of `phantom_body`, of which a scan shows the upper part. Axes z y x as there: z
from the head down, y from the front, x from the patient's right. Letters: n slices, H W size of a
slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int16
from numpy.random import Generator

from tomovox.data.ct_rate import ABNORMALITIES
from tomovox.data.phantom_body import Part, Point, point
from tomovox.data.phantom_render import HU, paint

SEEN = 0.52
"""Part of the body, from the head end, that a scan of the chest shows."""

PRIORS = dict(
    zip(
        ABNORMALITIES,
        (
            *(0.12, 0.28, 0.15, 0.10, 0.25, 0.14, 0.26, 0.19, 0.26),
            *(0.42, 0.35, 0.26, 0.20, 0.10, 0.12, 0.20, 0.12, 0.10),
        ),
        strict=True,
    )
)
"""Abnormality -> how often it is drawn: about as in CT-RATE, rare ones somewhat more often."""

SIDED = (
    *("Medical material", "Atelectasis", "Lung nodule", "Lung opacity"),
    *("Pulmonary fibrotic sequela", "Pleural effusion", "Peribronchial thickening"),
    *("Consolidation", "Bronchiectasis", "Interlobular septal thickening"),
)
"""Abnormalities that lie on one side; the others are in the middle or on both."""

SHARP_NOISE = 2.5
"""A sharp kernel has so many times the noise of a soft one."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An ellipsoid of one value; centre and radius as those of a Part."""

    centre: Point
    radius: Point
    hu: float


@dataclass(frozen=True, slots=True)
class Sign:
    """One abnormality of a scan; `side` is empty where it has none."""

    label: str
    side: str
    blobs: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Chest:
    """A chest as it is scanned, with its abnormalities in the order of ABNORMALITIES."""

    parts: tuple[Part, ...]
    signs: tuple[Sign, ...]

    @property
    def labels(self) -> tuple[bool, ...]:
        """Return which of ABNORMALITIES there are."""
        present = {sign.label for sign in self.signs}
        return tuple(label in present for label in ABNORMALITIES)


def draw_chest(parts: tuple[Part, ...], size: float, rng: Generator) -> Chest:
    """Return a patient's chest with abnormalities drawn for one scan; `size` scales them."""
    signs = []
    for label, prior in PRIORS.items():
        present, side = rng.random() < prior, "right" if rng.random() < 0.55 else "left"
        jitter = rng.uniform(-1, 1, 3)  # drawn of every label, so that none depends on another
        if present:
            blobs = SHAPES[label](_Place(parts, side, jitter))
            grown = (
                replace(b, radius=point(np.array(b.radius) * size)) if size != 1 else b
                for b in blobs
            )
            signs.append(Sign(label, side if label in SIDED else "", tuple(grown)))
            if label == "Cardiomegaly":
                parts = tuple(_larger(part) if part.tissue == "heart" else part for part in parts)
    return Chest(parts, tuple(signs))


def render_chest(
    chest: Chest,
    shape: tuple[int, int, int],
    sharp: bool,
    noise_hu: float,
    rng: Generator,
) -> Int16[np.ndarray, "n H W"]:
    """Return a reconstruction in HU: n from head to feet, H front to back, W right to left."""
    volume = np.full(shape, -1000.0, np.float32)
    around = [sign for sign in chest.signs if sign.label == "Pericardial effusion"]
    inside = [sign for sign in chest.signs if sign not in around]
    for part in chest.parts:
        if part.tissue == "heart":
            _paint_all(volume, around)
        hu = HU[part.tissue][0] + part.shift_hu
        paint(volume, *_seen(part.centre, part.radius), (0, 1, 2), hu)
    _paint_all(volume, inside)
    noise = rng.standard_normal(shape, np.float32)
    volume += noise * np.float32(noise_hu * (SHARP_NOISE if sharp else 1.0))
    return np.rint(np.clip(volume, -1024, 3071)).astype(np.int16)


def _paint_all(volume: np.ndarray, signs: Sequence[Sign]) -> None:
    for sign in signs:
        for blob in sign.blobs:
            paint(volume, *_seen(blob.centre, blob.radius), (0, 1, 2), blob.hu)


def _seen(centre: Point, radius: Point) -> tuple[Point, Point]:
    """Return centre and radius in the part of the body that is scanned."""
    return (centre[0] / SEEN, *centre[1:]), (radius[0] / SEEN, *radius[1:])


def _larger(heart: Part) -> Part:
    return replace(heart, radius=point(np.array(heart.radius) * (1.1, 1.35, 1.4)))


# ---- where each abnormality lies -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A patient, a side, and three numbers from -1 to 1 by which things lie elsewhere."""

    parts: tuple[Part, ...]
    side: str
    jitter: np.ndarray

    def organ(self, tissue: str) -> Part:
        """Return an organ; of the two lungs that of the side."""
        found = sorted((p for p in self.parts if p.tissue == tissue), key=lambda p: p.centre[2])
        return found[0 if self.side == "right" else -1]

    def at(self, tissue: str, way: Point, radius: Point, hu: float, jitter: float = 0.15) -> Blob:
        """Return a blob at `way`, in radii of an organ from its centre, moved by the jitter."""
        organ = self.organ(tissue)
        moved = np.array(way) + jitter * self.jitter
        return Blob(point(np.array(organ.centre) + moved * organ.radius), radius, hu)


def _both(place: _Place, ways: Sequence[Point], radius: Point, hu: float) -> tuple[Blob, ...]:
    sides = (replace(place, side=side) for side in ("right", "left"))
    return tuple(side.at("lung", way, radius, hu) for side in sides for way in ways)


def _material(place: _Place) -> tuple[Blob, ...]:
    x = 0.25 if place.side == "right" else 0.75
    port = Blob((0.12, 0.13, x), (0.03, 0.025, 0.03), 2500.0)
    return port, Blob((0.2, 0.28, 0.47), (0.15, 0.014, 0.014), 2500.0)


SHAPES: dict[str, Callable[[_Place], tuple[Blob, ...]]] = {
    "Medical material": _material,
    "Arterial wall calcification": lambda p: (
        p.at("aorta", (-0.6, -0.9, 0.0), (0.05, 0.02, 0.03), 700.0, 0.05),
        p.at("aorta", (-0.4, 0.0, 0.9), (0.05, 0.03, 0.02), 700.0, 0.05),
    ),
    "Cardiomegaly": lambda p: (),
    "Pericardial effusion": lambda p: (p.at("heart", (0, 0, 0), (0.17, 0.185, 0.19), 5.0, 0.0),),
    "Coronary artery wall calcification": lambda p: (
        p.at("heart", (-0.2, -0.75, 0.1), (0.03, 0.018, 0.03), 700.0),
        p.at("heart", (0.1, -0.7, 0.4), (0.04, 0.018, 0.018), 700.0),
    ),
    "Hiatal hernia": lambda p: (
        Blob((0.45, 0.55, 0.5), (0.06, 0.06, 0.065), 20.0),
        Blob((0.45, 0.54, 0.5), (0.035, 0.035, 0.04), -900.0),
    ),
    "Lymphadenopathy": lambda p: tuple(
        Blob((0.13 + 0.04 * k, 0.44 + 0.03 * (k % 2), 0.46 + 0.04 * k), (0.025, 0.03, 0.03), 60.0)
        for k in range(3)
    ),
    "Emphysema": lambda p: _both(
        p, ((-0.5, -0.2, 0.0), (-0.4, 0.4, 0.2)), (0.06, 0.07, 0.05), -985.0
    ),
    "Atelectasis": lambda p: (p.at("lung", (0.6, 0.2, 0.0), (0.014, 0.13, 0.10), 30.0),),
    "Lung nodule": lambda p: (p.at("lung", (0.0, -0.2, 0.0), (0.035, 0.04, 0.04), 60.0, 0.45),),
    "Lung opacity": lambda p: (p.at("lung", (0.1, 0.1, 0.0), (0.10, 0.11, 0.08), -450.0, 0.3),),
    "Pulmonary fibrotic sequela": lambda p: (
        p.at("lung", (-0.7, 0.0, 0.0), (0.03, 0.10, 0.06), -150.0),
    ),
    "Pleural effusion": lambda p: (p.at("lung", (0.6, 0.75, 0.0), (0.10, 0.08, 0.12), 8.0, 0.05),),
    "Mosaic attenuation pattern": lambda p: _both(
        p, ((-0.3, -0.4, 0.0), (0.1, 0.4, 0.0), (0.5, -0.3, 0.0)), (0.05, 0.09, 0.06), -640.0
    ),
    "Peribronchial thickening": lambda p: (
        p.at("lung", (0.0, 0.0, 0.0), (0.06, 0.035, 0.035), 0.0),
        p.at("lung", (0.0, 0.0, 0.0), (0.06, 0.018, 0.018), -950.0),
    ),
    "Consolidation": lambda p: (p.at("lung", (0.4, 0.2, 0.0), (0.10, 0.12, 0.09), 45.0, 0.2),),
    "Bronchiectasis": lambda p: (
        p.at("lung", (0.3, -0.2, 0.1), (0.07, 0.05, 0.05), -300.0),
        p.at("lung", (0.3, -0.2, 0.1), (0.07, 0.032, 0.032), -985.0),
    ),
    "Interlobular septal thickening": lambda p: tuple(
        p.at("lung", (0.0, 0.3 * k, 0.3), (0.12, 0.012, 0.10), -250.0) for k in (-1, 0, 1)
    ),
}
"""Abnormality -> its ellipsoids."""
