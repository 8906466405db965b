"""Does the synthetic set keep the published layout, and the same bytes every time?"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tomovox.data.check import check_tree
from tomovox.data.phantom import write_phantom
from tomovox.data.phantom_body import KINDS, ORGANS
from tomovox.data.phantom_case import describe_case
from tomovox.schema import TomovoxError

SHAPE = (32, 32, 32)
CASES = 12
BYTES = "3c52cdfbb17cdb87091941598468ea21c791ed481802b000e76465d8796eba7e"
"""Of the set `root`, without its prose and its term dictionary: experiments were run on it."""


def _bytes(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "set"
    write_phantom(folder, CASES, 5, SHAPE, test_cases=4, val_cases=2, organ_masks=True)
    return folder


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with every option of the eight tasks."""
    folder = tmp_path_factory.mktemp("phantom") / "moved"
    write_phantom(
        folder, CASES, 5, SHAPE, test_cases=4, val_cases=2, organ_masks=True, organ_shift=0.15,
        refseg=True,
    )  # fmt: skip
    return folder


def test_the_bytes_of_old_arguments_are_those_of_old_experiments(root: Path):
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if path.name not in ("README.txt", "term_dictionary.json"):
            name = path.relative_to(root).as_posix().encode()
            digest.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    assert digest.hexdigest() == BYTES


def test_unused_options_do_not_stand_in_the_manifest(root: Path, moved: Path):
    used, unused = (json.loads((r / "phantom.json").read_text()) for r in (moved, root))
    assert {k: used[k] for k in used.keys() - unused} == {"organ_shift": 0.15, "refseg": True}


def test_moved_organs_give_the_same_bytes_again(moved: Path, tmp_path: Path):
    write_phantom(
        tmp_path / "b", CASES, 5, SHAPE, test_cases=4, val_cases=2, organ_masks=True,
        organ_shift=0.15, refseg=True, workers=2,
    )  # fmt: skip
    assert _bytes(tmp_path / "b") == _bytes(moved)


@pytest.mark.parametrize("name", ["root", "moved"])
def test_a_written_set_passes_the_check(name: str, request: pytest.FixtureRequest):
    assert not check_tree(request.getfixturevalue(name)).problems


def test_the_readme_tells_of_the_options_in_use(root: Path, moved: Path):
    texts = [(r / "README.txt").read_text() for r in (root, moved)]
    assert ["M3D_RefSeg.csv" in t and "0.15 of the side" in t for t in texts] == [False, True]
    assert all("term_dictionary.json" in t for t in texts)


def test_every_class_name_has_descriptions(root: Path):
    names, terms = (
        json.loads((root / f"M3D_Seg_npy/{name}.json").read_text())
        for name in ("dataset_info", "term_dictionary")
    )
    assert set(terms) == set(names["9000"])


def test_referring_questions_are_written_only_when_asked_for(root: Path, moved: Path):
    assert [(r / "M3D_RefSeg_npy").exists() for r in (root, moved)] == [False, True]


def test_the_referred_mask_is_the_finding_of_the_first_series(moved: Path):
    for name in ("M3D_RefSeg", "M3D_RefSeg_test"):
        for row in _rows(moved / f"M3D_RefSeg_npy/{name}.csv"):
            labels, case = np.load(moved / row["Mask"]), row["Image"].split("/")[1]
            number = int(row["Mask_ID"])
            mask = np.load(moved / f"M3D_Seg_npy/9000/{case}_0/masks/mask_{number - 1}.npy")
            assert labels.dtype == np.uint8 and ((labels == number) == mask).all()


def test_the_referred_image_is_a_volume_of_the_case(moved: Path):
    for path in (moved / "M3D_RefSeg_npy").glob("*/ct.npy"):
        twin = moved / f"M3D_Seg_npy/9000/{path.parent.name}_0/image.npy"
        assert path.read_bytes() == twin.read_bytes()


def test_referring_questions_are_of_the_cases_of_their_split(moved: Path):
    cases = {
        name: {int(r["Image"].split("/")[1]) for r in _rows(moved / f"M3D_RefSeg_npy/{name}.csv")}
        for name in ("M3D_RefSeg", "M3D_RefSeg_test")
    }
    found = {
        case for case in range(1, CASES + 1) if describe_case(5, case, organ_shift=0.15).finding
    }
    assert cases["M3D_RefSeg_test"] == found & set(range(1, 5))
    assert cases["M3D_RefSeg"] == found & set(range(7, CASES + 1))


def test_workers_do_not_change_a_byte(root: Path, tmp_path: Path):
    write_phantom(
        tmp_path / "b", CASES, 5, SHAPE, test_cases=4, val_cases=2, organ_masks=True, workers=2
    )
    assert _bytes(tmp_path / "b") == _bytes(root)


def test_another_seed_gives_another_set(root: Path, tmp_path: Path):
    write_phantom(tmp_path / "b", 2, 6, SHAPE)
    report = "M3D_Cap_npy/ct_case/000001/text.txt"
    assert (tmp_path / "b" / report).read_text() != (root / report).read_text()


def test_a_case_does_not_depend_on_the_number_of_cases(root: Path, tmp_path: Path):
    write_phantom(tmp_path / "b", 3, 5, SHAPE)
    few, many = _bytes(tmp_path / "b" / "M3D_Cap_npy/ct_case"), _bytes(root)
    assert few == {name: many[f"M3D_Cap_npy/ct_case/{name}"] for name in few}


def test_splits_share_no_case(root: Path):
    splits = json.loads((root / "M3D_Cap_npy/M3D_Cap.json").read_text())
    cases = [
        {entry["image"].split("/")[2] for entry in splits[name]}
        for name in ("train", "validation", "test")
    ]
    assert [len(c) for c in cases] == [6, 2, 4] and len(set.union(*cases)) == CASES


def test_small_pools_are_the_first_test_images(root: Path):
    splits = json.loads((root / "M3D_Cap_npy/M3D_Cap.json").read_text())
    assert all(
        splits[f"test{name}"] == splits["test"][:size]
        for name, size in (("1k", 1000), ("500", 500), ("100", 100))
    )


@pytest.mark.parametrize("split", ["train", "val", "test", "test5k"])
def test_the_answer_is_the_text_of_its_choice(root: Path, split: str):
    rows = _rows(root / f"M3D-VQA/M3D_VQA_{split}.csv")
    assert rows and all(row[f"Choice {row['Answer Choice']}"] == row["Answer"] for row in rows)


@pytest.mark.parametrize("split", ["train", "val", "test", "test5k", "yn_train"])
def test_every_row_points_to_files(root: Path, split: str):
    rows = _rows(root / f"M3D-VQA/M3D_VQA_{split}.csv")
    assert all((root / row[name]).is_file() for row in rows for name in ("Image Path", "Text"))


def test_yes_no_rows_have_no_choices(root: Path):
    rows = _rows(root / "M3D-VQA/M3D_VQA_yn_train.csv")
    assert {row[f"Choice {letter}"] for row in rows for letter in "ABCD"} == {"NA"}


def test_evidence_names_every_row_of_the_three_splits(root: Path):
    wanted = [
        (f"{split}/{k:06d}", row["Image Path"])
        for split in ("train", "val", "test")
        for k, row in enumerate(_rows(root / f"M3D-VQA/M3D_VQA_{split}.csv"))
    ]
    found = [(row["vqa"], row["image"]) for row in _rows(root / "evidence.csv")]
    assert sorted(found) == sorted(wanted)


def test_local_evidence_is_where_the_finding_mask_is(root: Path):
    for row in _rows(root / "evidence.csv"):
        case, series = row["image"].split("/")[2:]
        described = describe_case(5, int(case))
        names = [f"{s.name}.npy" for s in described.series]
        folder = root / f"M3D_Seg_npy/9000/{case}_{names.index(series)}/masks"
        if row["scope"] == "slice" and folder.is_dir():
            mask = np.load(folder / f"mask_{KINDS.index(described.finding.kind)}.npy")
            held = np.flatnonzero(mask.any(axis=(0, 2, 3))).tolist()
            assert held == [int(k) for k in row["slices"].split()]


def test_volume_evidence_is_every_slice(root: Path):
    rows = [row for row in _rows(root / "evidence.csv") if row["scope"] == "volume"]
    assert {row["slices"] for row in rows} == {" ".join(map(str, range(SHAPE[0])))}


def test_volumes_are_bytes_of_the_published_axes(root: Path):
    volumes = [np.load(path) for path in (root / "M3D_Cap_npy").rglob("*.npy")]
    assert {(v.dtype.name, v.shape) for v in volumes} == {("uint8", (1, *SHAPE))}


def test_masks_are_boolean_and_as_large_as_the_image_or_empty(root: Path):
    masks = [np.load(path) for path in (root / "M3D_Seg_npy").rglob("mask_*.npy")]
    assert {m.dtype.name for m in masks} == {"bool"}
    assert all(m.shape == (1, *SHAPE) or (m.shape == (1, 1, 1, 1) and not m.any()) for m in masks)


def test_the_segmentation_image_is_the_caption_image(root: Path):
    for row in _rows(root / "series.csv"):
        described = describe_case(5, int(row["case"]))
        index = [described.image(k) for k in range(2)].index(row["image"])
        twin = root / f"M3D_Seg_npy/9000/{row['case']}_{index}/image.npy"
        assert not twin.exists() or twin.read_bytes() == (root / row["image"]).read_bytes()


def test_every_listed_mask_exists_and_has_a_class_name(root: Path):
    names = json.loads((root / "M3D_Seg_npy/dataset_info.json").read_text())["9000"]
    splits = json.loads((root / "M3D_Seg_npy/9000/9000.json").read_text())
    assert names == [*KINDS, *ORGANS] and set(splits) == {"train", "test"}
    for entry in [*splits["train"], *splits["test"]]:
        path = root / "M3D_Seg_npy" / entry["label"]
        assert path.is_file() and int(path.stem.removeprefix("mask_")) < len(names)


def test_every_image_has_one_negative_mask(root: Path):
    for folder in (root / "M3D_Seg_npy/9000").glob("*/masks"):
        shapes = [np.load(path).shape for path in folder.glob("*.npy")]
        assert shapes.count((1, 1, 1, 1)) == 1


def test_the_same_arguments_return_at_once(root: Path):
    calls: list[tuple[int, int]] = []
    write_phantom(
        root, CASES, 5, SHAPE, test_cases=4, val_cases=2, organ_masks=True,
        progress=lambda *done: calls.append(done),
    )  # fmt: skip
    assert not calls


def test_other_arguments_are_refused(root: Path):
    with pytest.raises(TomovoxError, match=r"phantom\.json: a phantom of other arguments"):
        write_phantom(root, CASES, 6, SHAPE)


def test_a_manifest_that_is_no_text_is_named(tmp_path: Path):
    (tmp_path / "phantom.json").write_bytes(b"\xff")
    with pytest.raises(TomovoxError, match=r"phantom\.json: "):
        write_phantom(tmp_path, CASES, 5, SHAPE)


def test_a_foreign_folder_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TomovoxError, match="no phantom data set"):
        write_phantom(tmp_path, 3, 0, SHAPE)


def test_an_interrupted_writing_leaves_nothing(tmp_path: Path):
    def stop(done: int, cases: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "b", 3, 0, SHAPE, progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_counts_the_cases(tmp_path: Path):
    calls: list[tuple[int, int]] = []
    write_phantom(tmp_path / "b", 3, 0, SHAPE, progress=lambda *done: calls.append(done))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": 0}, "cases=0"),
        ({"seed": -1}, "seed=-1"),
        ({"shape": (32, 8, 64)}, "shape="),
        ({"difficulty": "odd"}, "difficulty='odd': give one of plain, easy, base, hard"),
        ({"test_cases": 3, "val_cases": 1}, "test_cases=3, val_cases=1"),
        ({"series": 13}, "series=13: give 1 to 12"),
        ({"organ_shift": 0.5}, "organ_shift=0.5: give 0 to 0.3"),
        ({"organ_shift": float("nan")}, "organ_shift=nan"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict, message: str):
    with pytest.raises(TomovoxError, match=message):
        write_phantom(tmp_path / "b", **{"cases": 3, "seed": 0, "shape": SHAPE} | arguments)
