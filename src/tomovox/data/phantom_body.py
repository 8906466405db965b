"""What does a synthetic patient consist of? Anatomy, findings, and how the patient is scanned.

A patient is a set of ellipsoids in the unit cube with axes z (0 head, 1 feet), y (0 front, 1 back)
and x (0 the patient's right, 1 the left). A series slices the cube along one axis.
Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

K = TypeVar("K")
Point = tuple[float, float, float]

PHASES = ("noncontrast", "arterial", "portal venous", "delayed")
PLANES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
"""Plane -> the patient axes that become D, H and W."""

KINDS = ("cyst", "mass", "calcification", "stone", "effusion")
ORGANS = (
    "liver", "kidney", "spleen", "lung", "gallbladder",
    "aorta", "heart", "stomach", "bowel", "spine",
)  # fmt: skip

SHELLS = ("fat", "muscle", "cavity")

PARTS: tuple[tuple[str, Point, Point], ...] = (
    ("fat", (0.50, 0.50, 0.50), (0.80, 0.45, 0.49)),
    ("muscle", (0.50, 0.50, 0.50), (0.76, 0.41, 0.45)),
    ("cavity", (0.50, 0.48, 0.50), (0.72, 0.36, 0.41)),
    ("lung", (0.23, 0.48, 0.28), (0.23, 0.27, 0.155)),
    ("lung", (0.23, 0.48, 0.72), (0.23, 0.27, 0.155)),
    ("spine", (0.50, 0.77, 0.50), (0.75, 0.085, 0.075)),
    ("heart", (0.30, 0.38, 0.55), (0.12, 0.13, 0.13)),
    ("stomach", (0.50, 0.35, 0.66), (0.10, 0.10, 0.11)),
    ("bowel", (0.80, 0.34, 0.36), (0.05, 0.09, 0.10)),
    ("bowel", (0.86, 0.38, 0.60), (0.06, 0.10, 0.11)),
    ("bowel", (0.94, 0.52, 0.45), (0.05, 0.10, 0.12)),
    ("liver", (0.58, 0.44, 0.32), (0.165, 0.24, 0.22)),
    ("spleen", (0.53, 0.62, 0.79), (0.12, 0.13, 0.095)),
    ("kidney", (0.71, 0.66, 0.31), (0.125, 0.095, 0.09)),
    ("kidney", (0.70, 0.66, 0.69), (0.125, 0.095, 0.09)),
    ("gallbladder", (0.71, 0.28, 0.35), (0.075, 0.065, 0.065)),
    ("aorta", (0.52, 0.62, 0.52), (0.60, 0.042, 0.042)),
)
"""Tissue, centre and radius, in the order of painting: later parts cover earlier ones."""

KIND_PRIOR = {
    "": 0.15,
    "cyst": 0.28,
    "mass": 0.27,
    "calcification": 0.14,
    "stone": 0.08,
    "effusion": 0.08,
}
ORGAN_PRIOR = {
    "cyst": {"liver": 0.50, "kidney": 0.35, "spleen": 0.15},
    "mass": {"liver": 0.50, "kidney": 0.25, "lung": 0.15, "spleen": 0.10},
    "calcification": {"liver": 0.35, "aorta": 0.30, "spleen": 0.20, "lung": 0.15},
    "stone": {"kidney": 0.65, "gallbladder": 0.35},
    "effusion": {"lung": 1.0},
}
THICKNESS_PRIOR = {2: 0.25, 3: 0.50, 4: 0.25}
"""Slices that a finding fills in a volume of 32 slices; other depths scale it."""


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard a finding is to see: factors on radius and contrast, noise sd in HU."""

    radius: float
    contrast: float
    noise_hu: float


DIFFICULTIES = {
    "plain": Difficulty(2.2, 2.0, 5.0),
    "easy": Difficulty(1.6, 1.5, 8.0),
    "base": Difficulty(1.0, 1.0, 15.0),
    "hard": Difficulty(0.75, 0.8, 22.0),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One ellipsoid of one patient; `shift_hu` is added to the table's HU of the tissue."""

    tissue: str
    centre: Point
    radius: Point
    shift_hu: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One abnormality. `radius` holds within a slice; `thickness` counts slices of 32."""

    kind: str
    organ: str
    side: str
    level: str
    size: str
    centre: Point
    radius: Point
    organ_radius: Point
    thickness: int
    shift_hu: float


@dataclass(frozen=True, slots=True)
class Series:
    """How a patient was scanned. `kernel` is soft or sharp: less or more noise."""

    plane: str
    phase: str
    kernel: str
    native_slices: int

    @property
    def name(self) -> str:
        """Return the series name in the published style, such as `Axial_C__arterial_phase`."""
        tails = {"noncontrast": "non_contrast", "delayed": "C__delayed"}
        tail = tails.get(self.phase) or f"C__{self.phase.replace(' ', '_')}_phase"
        return f"{self.plane.title()}_{tail}"


def pick(prior: Mapping[K, float], rng: Generator) -> K:
    """Return one key of `prior` with the probability that stands there."""
    bounds = np.cumsum(list(prior.values()))[:-1]
    return list(prior)[int(np.searchsorted(bounds, rng.random(), side="right"))]


def draw_parts(rng: Generator) -> tuple[Part, ...]:
    """Return one patient's parts: centre sd 0.015, radius x U(0.9, 1.12), HU sd 6; walls stay."""
    moves = rng.normal(0.0, 0.015, (len(PARTS), 3))
    scales = rng.uniform(0.9, 1.12, len(PARTS))
    shifts = rng.normal(0.0, 6.0, len(PARTS))
    parts = []
    for (tissue, centre, radius), move, scale, shift in zip(
        PARTS, moves, scales, shifts, strict=True
    ):
        if tissue in SHELLS:
            parts.append(Part(tissue, centre, radius, 0.0))
        else:
            parts.append(
                Part(tissue, point(centre + move), point(np.multiply(radius, scale)), float(shift))
            )
    return tuple(parts)


def draw_finding(parts: tuple[Part, ...], difficulty: Difficulty, rng: Generator) -> Finding | None:
    """Return this patient's finding, or None; it is centred in visible tissue of its organ."""
    kind = pick(KIND_PRIOR, rng)
    if not kind:
        return None
    organ = pick(ORGAN_PRIOR[kind], rng)
    candidates = [part for part in parts if part.tissue == organ]
    host = candidates[int(rng.integers(len(candidates)))]
    side_radius = rng.uniform(0.05, 0.07)
    size = "small" if side_radius < 0.0567 else "medium" if side_radius < 0.0633 else "large"
    shape = {"effusion": (1.0, 0.8, 1.4), "calcification": (0.75,) * 3, "stone": (0.75,) * 3}.get(
        kind, (1.0,) * 3
    )
    radius = np.minimum(
        side_radius * difficulty.radius * np.array(shape), 0.85 * np.array(host.radius)
    )
    thickness = pick(THICKNESS_PRIOR, rng)
    centre = _place(kind, host, radius, parts, rng)
    return Finding(
        kind, organ, side_of(centre), level_of(centre), size, centre, point(radius), host.radius,
        thickness, host.shift_hu,
    )  # fmt: skip


def side_of(centre: Point) -> str:
    """Return the patient's side of a point: right, midline or left."""
    return "right" if centre[2] < 0.42 else "midline" if centre[2] < 0.58 else "left"


def level_of(centre: Point) -> str:
    """Return the third that holds a point, from the head down: upper, middle or lower."""
    return "upper" if centre[0] < 1 / 3 else "middle" if centre[0] < 2 / 3 else "lower"


def _place(
    kind: str, host: Part, radius: Float[np.ndarray, "3"], parts: tuple[Part, ...], rng: Generator
) -> Point:
    """Return a centre in `host` of clear side and level; fluid gathers low and at the back."""
    room = np.array(host.radius) - radius
    for _ in range(200):
        way = rng.uniform(-0.85, 0.85, 3)
        if kind == "effusion":
            way = np.array([rng.uniform(0.4, 0.8), rng.uniform(0.6, 0.9), way[2] / 2])
            way /= 1.001 * np.linalg.norm(way)
        if np.square(way).sum() > 1.0:
            continue
        centre = point(np.clip(host.centre + way * room, 0.12, 0.88))
        borders = np.abs([centre[2] - 0.42, centre[2] - 0.58, centre[0] - 1 / 3, centre[0] - 2 / 3])
        if borders.min() > 0.02 and tissue_at(centre, parts) == host.tissue:
            return centre
    return point(np.clip(host.centre, 0.12, 0.88))


def tissue_at(point: Point, parts: tuple[Part, ...]) -> str:
    """Return the tissue that is painted last at `point`; empty outside the body."""
    for part in reversed(parts):
        if (
            sum(((a - c) / r) ** 2 for a, c, r in zip(point, part.centre, part.radius, strict=True))
            <= 1.0
        ):
            return part.tissue
    return ""


def draw_series(count: int, depth: int, rng: Generator) -> tuple[Series, ...]:
    """Return `count` series, distinct in (plane, phase), of 20 to 48 native slices per 32."""
    planes = dict(zip(PLANES, (0.5, 0.25, 0.25), strict=True))
    phases = dict(zip(PHASES, (0.2, 0.15, 0.45, 0.2), strict=True))
    chosen: dict[tuple[str, str], Series] = {}
    while len(chosen) < count:
        plane, phase = pick(planes, rng), pick(phases, rng)
        kernel = "soft" if rng.random() < 0.7 else "sharp"
        slices = max(4, round(int(rng.integers(20, 49)) * depth / 32))
        chosen.setdefault((plane, phase), Series(plane, phase, kernel, slices))
    return tuple(chosen.values())


def point(values: Iterable[float]) -> Point:
    """Return three numbers as a point of floats."""
    z, y, x = (float(v) for v in values)
    return z, y, x
