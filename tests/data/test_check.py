import json

import numpy as np
import pytest

from tomovox.data.check import check_tree
from tomovox.data.check_report import Report, SplitCount
from tomovox.data.records import read_vqa
from tomovox.schema import Task, TomovoxError

SHAPE = (1, 2, 4, 4)


def lines(report: Report, severity: str = "error") -> list[str]:
    return [problem.line() for problem in report.problems if problem.severity == severity]


def only(report: Report, severity: str = "error") -> str:
    (line,) = lines(report, severity)
    assert line.count("\t") == 3
    return line


def with_seg(m3d, **masks) -> None:
    """Add M3D-Seg of one image and one training mask of class 0, or `masks` by name."""
    folder = "M3D_Seg_npy/0001/000001"
    m3d.write_volume(f"{folder}/image.npy")
    masks = masks or {"mask_0": np.zeros(SHAPE, bool)}
    for name, mask in masks.items():
        m3d.write_volume(f"{folder}/masks/{name}.npy", mask)
    entries = [
        {"image": "0001/000001/image.npy", "label": f"0001/000001/masks/{name}.npy"}
        for name in masks
    ]
    m3d.write_text("M3D_Seg_npy/0001/0001.json", json.dumps({"train": entries, "test": []}))
    m3d.write_text("M3D_Seg_npy/dataset_info.json", json.dumps({"0001": ["cyst", "mass"]}))


# ---- what is there ---------------------------------------------------------------------------


def test_a_whole_tree_is_clean(m3d):
    with_seg(m3d.fill(train=3, val=1, test=1))
    report = check_tree(m3d.root)
    assert (report.problems, report.errors) == ([], 0)


def test_splits_are_counted(m3d):
    with_seg(m3d.fill(train=3, test=1))
    assert check_tree(m3d.root).counts == [
        SplitCount("M3D-Cap", "train", 3, 3, 3),
        SplitCount("M3D-Cap", "test", 1, 1, 1),
        SplitCount("M3D-VQA", "test", 3, 1, 1),
        SplitCount("M3D-VQA", "train", 9, 3, 3),
        SplitCount("M3D-Seg 0001", "train", 1, 1, 1, negatives=1),
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_file_is_opened_once(m3d, workers):
    with_seg(m3d.fill(train=3, test=1))
    seen = []
    check_tree(m3d.root, lambda *step: seen.append(step), workers)
    assert seen == [(n, 6) for n in range(1, 7)]


def test_a_folder_without_data_is_refused(m3d):
    with pytest.raises(TomovoxError, match="no data tree"):
        check_tree(m3d.root)


# ---- rows ------------------------------------------------------------------------------------


def test_all_bad_rows_are_found_and_the_good_ones_counted(m3d):
    m3d.fill(train=1)
    bad = [{"Question Type": "9"}, {"Answer Choice": "E"}, {"Image Path": "../a.npy"}]
    bad += [{"Image Path": "/a.npy"}, {"Question": ""}]
    m3d.write_vqa("train", [m3d.row(1), *(m3d.row(1, **cells) for cells in bad), m3d.row(1, 1)])
    report = check_tree(m3d.root)
    assert [f"row {n} " in line for n, line in enumerate(lines(report), 1)] == [True] * 5
    assert SplitCount("M3D-VQA", "train", 2, 1, 1) in report.counts


def test_reading_raises_the_first_problem_that_checking_lists(m3d):
    m3d.fill(train=1)
    m3d.write_vqa("train", [m3d.row(1, **{"Question Type": "9"}), m3d.row(1, Question="")])
    with pytest.raises(TomovoxError) as caught:
        read_vqa(m3d.root, "train", Task.VQA_CLOSED)
    first = check_tree(m3d.root).problems[0]
    assert str(caught.value) == f"{first.place}: {first.what}; {first.remedy}"


@pytest.mark.parametrize("column", ["Question", "Choice C"])
def test_a_missing_column_is_an_error(m3d, column):
    m3d.fill(train=1)
    m3d.write_vqa("train", [m3d.row(1)], [name for name in m3d.row(1) if name != column])
    assert column in only(check_tree(m3d.root))


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_listing_is_an_error_and_the_rest_is_read(m3d, content):
    m3d.fill(train=1)
    m3d.write_text("M3D_Cap_npy/M3D_Cap.json", content)
    report = check_tree(m3d.root)
    assert "M3D_Cap.json" in only(report)
    assert SplitCount("M3D-VQA", "train", 3, 1, 1) in report.counts


def test_a_csv_cut_inside_a_cell_keeps_what_stands_before(m3d):
    path = m3d.fill(train=1) and m3d.write_vqa(
        "train", [m3d.row(1), m3d.row(1, 1, Question="a, b")]
    )
    path.write_text(path.read_text().split(" b")[0])
    report = check_tree(m3d.root)
    assert "csv" in only(report)
    assert SplitCount("M3D-VQA", "train", 1, 1, 1) in report.counts


def test_a_row_that_stands_there_twice_is_a_warning(m3d):
    m3d.fill(train=1)
    m3d.write_vqa("train", [m3d.row(1), m3d.row(1, 1), m3d.row(1)])
    line = only(check_tree(m3d.root), "warning")
    assert "vqa_closed/train/000002\trepeats vqa_closed/train/000000" in line


def test_two_records_of_one_id_are_an_error(m3d):
    m3d.fill(val=1)
    entry = {"image": m3d.image(1), "text": m3d.text(1)}
    m3d.write_cap({"val": [entry], "validation": [entry]})
    assert "report/val/000000" in only(check_tree(m3d.root))


def test_a_case_in_two_splits_is_a_warning(m3d):
    m3d.fill(train=2, test=1)
    m3d.write_vqa("test", [m3d.row(1)])
    line = only(check_tree(m3d.root), "warning")
    assert "ct_case/000001" in line and "test, train" in line


def test_published_pools_of_the_test_split_are_no_leak(m3d):
    m3d.fill(train=1, test=1)
    splits = json.loads((m3d.root / "M3D_Cap_npy" / "M3D_Cap.json").read_text())
    m3d.write_cap(splits | {"test100": splits["test"]})
    m3d.write_vqa("test5k", [m3d.row(2)])
    assert check_tree(m3d.root).problems == []


def test_unknown_splits_are_a_warning(m3d):
    m3d.fill(train=1)
    m3d.write_vqa("holdout", [m3d.row(1)])
    splits = json.loads((m3d.root / "M3D_Cap_npy" / "M3D_Cap.json").read_text())
    m3d.write_cap(splits | {"extra": splits["train"]})
    found = lines(check_tree(m3d.root), "warning")
    assert ["extra" in found[0], "holdout" in found[1]] == [True, True]


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "cut", "garbage", "range", "pickle"])
def test_a_bad_volume_is_one_error_however_often_it_is_asked_for(m3d, kind):
    m3d.fill(train=2)
    path = m3d.root / m3d.image(1)
    whole = path.read_bytes()
    path.unlink()
    if kind in ("cut", "garbage"):
        path.write_bytes(whole[:-8] if kind == "cut" else b"no volume")
    elif kind != "missing":
        stored = np.arange(32.0).reshape(SHAPE) if kind == "range" else np.array([{}], object)
        np.save(path, stored, allow_pickle=True)
    assert m3d.image(1) in only(check_tree(m3d.root))


def test_volumes_of_native_lengths_are_one_warning(m3d):
    m3d.fill(train=4)
    for case in range(1, 5):
        voxels = np.random.default_rng(case).random((1, case, 4, 4), dtype=np.float32)
        m3d.write_volume(m3d.image(case), voxels)
    assert "have 4 numbers of slices, from 1 to 4" in only(check_tree(m3d.root), "warning")


def test_a_volume_of_another_depth_alone_may_be_read_as_it_is(m3d):
    m3d.fill(train=2)
    m3d.write_volume(m3d.image(1), np.random.default_rng(0).random((1, 3, 4, 4), dtype=np.float32))
    assert "or read other depths with ms_vlm" in only(check_tree(m3d.root), "warning")


def test_volumes_of_two_sizes_are_a_warning(m3d):
    m3d.fill(train=3)
    m3d.write_volume(m3d.image(2), np.eye(4, dtype=np.uint8).reshape(1, 1, 4, 4))
    assert "(1, 1, 4, 4)" in only(check_tree(m3d.root), "warning")


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_broken_listing_of_masks_is_an_error(m3d, content):
    with_seg(m3d.fill(train=1))
    m3d.write_text("M3D_Seg_npy/0001/0001.json", content)
    assert "0001.json" in only(check_tree(m3d.root))


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {"image": "0001/000001/image.npy"},
        {"image": "/image.npy", "label": "0001/000001/masks/mask_0.npy"},
        {"image": "0001/000001/image.npy", "label": "../mask_0.npy"},
        {"image": "0001/000001/image.npy", "label": "0001/000001/masks/mask_2.npy"},
        {"image": "0001/000001/image.npy", "label": "0001/000001/masks/liver.npy"},
        {"image": "0001/000001/image.npy", "label": "0001/000001/masks/mask_1.npy"},
        {"image": "0001/absent.npy", "label": "0001/000001/masks/mask_0.npy"},
    ],
)
def test_a_bad_entry_of_masks_is_an_error(m3d, entry):
    with_seg(m3d.fill(train=1))
    m3d.write_text("M3D_Seg_npy/0001/0001.json", json.dumps({"test": [entry]}))
    assert "test row 0" in only(check_tree(m3d.root))


@pytest.mark.parametrize(
    "mask", [np.zeros((1, 1, 1, 1), bool), np.ones(SHAPE, bool), np.ones(SHAPE, np.uint8)]
)
def test_a_mask_of_the_image_or_of_one_voxel_fits(m3d, mask):
    with_seg(m3d.fill(train=1), mask_0=mask)
    assert check_tree(m3d.root).problems == []


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((1, 2, 4, 5), bool),
        np.ones((1, 1, 1, 1), bool),
        np.full(SHAPE, 3, np.uint8),
        np.full(SHAPE, 0.5, np.float32),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error(m3d, mask):
    with_seg(m3d.fill(train=1), mask_0=mask)
    assert "mask_0.npy" in only(check_tree(m3d.root))


# ---- negatives and descriptions --------------------------------------------------------------


def test_masks_that_show_nothing_are_counted(m3d):
    masks = {"mask_0": np.zeros((1, 1, 1, 1), bool), "mask_1": np.ones(SHAPE, bool)}
    with_seg(m3d.fill(train=1), **masks)
    assert check_tree(m3d.root).counts[-1] == SplitCount("M3D-Seg 0001", "train", 2, 1, 1, 1)


def test_a_class_without_a_description_is_an_error(m3d):
    with_seg(m3d.fill(train=1))
    m3d.write_text("M3D_Seg_npy/term_dictionary.json", '{"mass": ["A lump."]}')
    assert "no description of 'cyst'" in only(check_tree(m3d.root))


def test_descriptions_of_no_class_are_one_warning(m3d):
    with_seg(m3d.fill(train=1))
    terms = {name: ["Some words."] for name in ("cyst", "mass", "kyst", "mas")}
    m3d.write_text("M3D_Seg_npy/term_dictionary.json", json.dumps(terms))
    assert "2 names that are no class of any data set: 'kyst', 'mas'" in only(
        check_tree(m3d.root), "warning"
    )
