"""Do phantoms keep native lengths, and show a finding in one series only, where asked to?"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tomovox.data.check import check_tree
from tomovox.data.phantom import write_phantom
from tomovox.data.phantom_body import KINDS
from tomovox.data.phantom_case import Case, describe_case
from tomovox.schema import TomovoxError

SHAPE, CASES, SEED, SERIES = (16, 32, 32), 12, 5, 3


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of old arguments."""
    folder = tmp_path_factory.mktemp("phantom") / "plain"
    write_phantom(folder, CASES, SEED, SHAPE, "easy", test_cases=4, series=SERIES, refseg=True)
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cases, each finding visible in one series."""
    folder = tmp_path_factory.mktemp("phantom") / "one"
    write_phantom(
        folder, CASES, SEED, SHAPE, "easy", test_cases=4, series=SERIES, refseg=True,
        visible_in="one",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "native"
    write_phantom(folder, CASES, SEED, SHAPE, "easy", test_cases=4, series=SERIES, native=True)
    return folder


def cases() -> list[Case]:
    return [
        describe_case(SEED, n, SHAPE[0], "easy", SERIES, visible_in="one")
        for n in range(1, CASES + 1)
    ]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# ---- a finding that one series shows ---------------------------------------------------------


def test_reports_and_questions_are_those_of_a_finding_that_all_series_show(plain, one):
    for name in (
        "M3D-VQA/M3D_VQA_train.csv",
        "M3D-VQA/M3D_VQA_test.csv",
        "M3D-VQA/M3D_VQA_val.csv",
    ):
        assert (one / name).read_bytes() == (plain / name).read_bytes()
    for path in plain.glob("M3D_Cap_npy/ct_case/*/text.txt"):
        assert (one / path.relative_to(plain)).read_bytes() == path.read_bytes()


def test_the_series_that_shows_the_finding_has_the_voxels_it_always_had(plain, one):
    for case in cases():
        for k in range(SERIES):
            same = (one / case.image(k)).read_bytes() == (plain / case.image(k)).read_bytes()
            assert same == (case.finding is None or case.shows_finding(k))


def test_the_other_series_differ_in_the_slices_of_the_finding_and_nowhere_else(plain, one):
    for case in cases():
        for k in range(SERIES):
            folder = plain / f"M3D_Seg_npy/9000/{case.id:06d}_{k}"
            if case.finding and not case.shows_finding(k) and folder.is_dir():
                mask = np.load(folder / f"masks/mask_{KINDS.index(case.finding.kind)}.npy")
                changed = np.load(one / case.image(k)) != np.load(plain / case.image(k))
                # Resizing along z lets a finding touch the slices next to its own.
                held = np.flatnonzero(mask.any(axis=(0, 2, 3)))
                moved = np.flatnonzero(changed.any(axis=(0, 2, 3)))
                assert len(moved) and held.min() - 1 <= moved.min() <= moved.max() <= held.max() + 1


def test_a_series_without_the_finding_has_no_mask_and_no_evidence(one):
    local = [row for row in rows(one / "evidence.csv") if row["scope"] == "slice"]
    shown = {case.image(k): case.shows_finding(k) for case in cases() for k in range(SERIES)}
    assert {bool(row["slices"]) == shown[row["image"]] for row in local} == {True}
    for case in cases():
        for k in range(SERIES):
            folder = one / f"M3D_Seg_npy/9000/{case.id:06d}_{k}"
            if case.finding and folder.is_dir():
                mask = np.load(folder / f"masks/mask_{KINDS.index(case.finding.kind)}.npy")
                assert mask.any() == case.shows_finding(k)


def test_the_referred_volume_is_the_one_that_shows_the_finding(one):
    found = {path.parent.name: path.read_bytes() for path in one.glob("M3D_RefSeg_npy/*/ct.npy")}
    shown = {
        f"{case.id:06d}": (one / case.image(k)).read_bytes()
        for case in cases()
        for k in range(SERIES)
        if case.shows_finding(k)
    }
    assert found and found == {name: shown[name] for name in found}


def test_every_series_shows_the_finding_as_often_as_the_others():
    shown = Counter(
        describe_case(0, n, series=SERIES, visible_in="one").visible for n in range(1, 601)
    )
    assert shown.keys() == set(range(SERIES)) and min(shown.values()) > 170


# ---- native lengths --------------------------------------------------------------------------


def test_a_native_volume_has_the_slices_that_series_csv_names(native):
    listed = rows(native / "series.csv")
    for row in listed:
        assert np.load(native / row["image"]).shape == (1, int(row["native_slices"]), *SHAPE[1:])
    assert len({row["native_slices"] for row in listed}) > 5


def test_native_evidence_lies_where_the_native_mask_is(native):
    held = {
        row["image"]: row["slices"]
        for row in rows(native / "evidence.csv")
        if row["scope"] == "slice"
    }
    for case in cases():
        for k in range(SERIES):
            folder = native / f"M3D_Seg_npy/9000/{case.id:06d}_{k}"
            if case.finding and folder.is_dir():
                mask = np.load(folder / f"masks/mask_{KINDS.index(case.finding.kind)}.npy")
                slices = np.flatnonzero(mask.any(axis=(0, 2, 3)))
                assert held[case.image(k)] == " ".join(map(str, slices))


# ---- both ------------------------------------------------------------------------------------


def test_a_set_of_either_kind_has_no_fault(native, one):
    assert not check_tree(one).problems
    (warning,) = check_tree(native).problems
    assert "numbers of slices" in warning.what


def test_the_manifest_and_the_readme_tell_of_the_options_in_use(plain, native, one):
    written = [json.loads((root / "phantom.json").read_text()) for root in (plain, native, one)]
    assert [w.get("native") for w in written] == [None, True, None]
    assert [w.get("visible_in") for w in written] == [None, None, "one"]
    texts = [(root / "README.txt").read_text() for root in (plain, native, one)]
    assert ["native_slices of" in text for text in texts] == [False, True, False]
    assert ["in one series of its case" in text for text in texts] == [False, False, True]


def test_an_unknown_way_of_showing_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match="visible_in='some': give one of all, one"):
        write_phantom(tmp_path / "x", 4, 0, visible_in="some")
