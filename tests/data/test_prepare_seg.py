"""Is the raw M3D-Seg prepared as published, step by step, and is what cannot be listed?"""

import json

import numpy as np
import pytest
import torch
from raw_sets import (
    CODE,
    NAMES,
    SIDES,
    listing,
    raw_image,
    raw_masks,
    refusal,
    save_masks,
    write_listing,
    write_raw_seg,
)
from torch.nn.functional import interpolate

from tomovox.data import prepare_seg as module
from tomovox.data.check import check_tree
from tomovox.data.prepare_seg import prepare_seg
from tomovox.data.volumes import read_volume

SHAPE = (4, 10, 12)


@pytest.fixture
def raw(tmp_path):
    return write_raw_seg(tmp_path / "raw")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data" / "M3D_Seg_npy"


def published(image: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do the published steps on dense arrays: (1 x y z), (C x y z) -> (1 D H W), (C D H W)."""
    image = torch.from_numpy(image).permute(0, 3, 2, 1)
    dense = torch.from_numpy(masks).permute(0, 3, 2, 1).float()
    image = (image - image.min()) / (image.max() - image.min())
    seen = torch.nonzero(image[0] > 0)
    (d, h, w), (dd, hh, ww) = seen.min(0).values.tolist(), (seen.max(0).values + 1).tolist()
    image, dense = (x[None, :, d:dd, h:hh, w:ww] for x in (image, dense))
    scan = interpolate(image, SHAPE, mode="trilinear", align_corners=False)[0]
    return scan.numpy(), interpolate(dense, SHAPE, mode="nearest")[0].numpy().astype(bool)


# ---- what is written -------------------------------------------------------------------------


def test_an_image_is_the_published_one(raw, out):
    prepare_seg(raw, out, SHAPE)
    expected, _ = published(raw_image(1), raw_masks(1))
    stored = np.load(out / CODE / "1" / "image.npy")
    assert (stored.dtype, stored.shape) == (np.float32, (1, *SHAPE))
    assert np.array_equal(stored, expected.clip(0, 1))


@pytest.mark.parametrize("number", [0, 1])
def test_a_mask_is_the_published_one(raw, out, number):
    prepare_seg(raw, out, SHAPE)
    _, expected = published(raw_image(1), raw_masks(1))
    stored = np.load(out / CODE / "1" / "masks" / f"mask_{number}.npy")
    assert stored.dtype == bool and stored.any()
    assert np.array_equal(stored, expected[number : number + 1])


def test_a_class_that_the_image_does_not_show_is_one_voxel_of_nothing(raw, out):
    prepare_seg(raw, out, SHAPE)
    stored = np.load(out / CODE / "1" / "masks" / "mask_2.npy")
    assert (stored.dtype, stored.tolist()) == (bool, [[[[False]]]])


def test_a_listing_has_an_entry_for_each_mask(raw, out):
    prepare_seg(raw, out, SHAPE)
    image = f"{CODE}/2/image.npy"
    masks = [f"{CODE}/2/masks/mask_{number}.npy" for number in range(3)]
    written = listing(out)
    assert written["test"] == [{"image": image, "label": mask} for mask in masks]
    assert (len(written["train"]), written["name"]) == (6, "AbdomenCT")


def test_classes_are_named_by_the_labels_of_the_listing(raw, out):
    prepare_seg(raw, out, SHAPE)
    assert json.loads((out / "dataset_info.json").read_text()) == {CODE: NAMES}


def test_names_that_are_given_go_before_labels(raw, out):
    (raw / "dataset_info.json").write_text(json.dumps({CODE: ["a", "b", "c"], "0009": ["d"]}))
    prepare_seg(raw, out, SHAPE)
    assert json.loads((out / "dataset_info.json").read_text()) == {CODE: ["a", "b", "c"]}


def test_descriptions_go_along(raw, out):
    (raw / "term_dictionary.json").write_text('{"liver": ["The largest gland."]}')
    prepare_seg(raw, out, SHAPE)
    assert (out / "term_dictionary.json").read_text() == '{"liver": ["The largest gland."]}'


def test_what_is_written_is_a_tree_without_problems(raw, out):
    prepare_seg(raw, out, SHAPE)
    report = check_tree(out.parent)
    assert report.problems == []
    assert [count.negatives for count in report.counts] == [2, 1]


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_images_of_other_numbers_are_prepared_too(raw, out, dtype):
    np.save(raw / CODE / "0" / "image.npy", (raw_image() * 100).astype(dtype))
    assert prepare_seg(raw, out, SHAPE).prepared == 3
    assert read_volume(out, f"{CODE}/0/image.npy", "x").max() > 0.5


def test_several_processes_write_the_same(raw, out, tmp_path):
    prepare_seg(raw, out, SHAPE)
    prepare_seg(raw, tmp_path / "two", SHAPE, workers=2)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert len(files) == 15
    assert all((out / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


# ---- again -----------------------------------------------------------------------------------


def test_a_finished_case_is_not_prepared_again(raw, out, monkeypatch):
    prepare_seg(raw, out, SHAPE)
    before = listing(out)
    monkeypatch.setattr(module, "write_array", None)
    outcome = prepare_seg(raw, out, SHAPE)
    assert (outcome.prepared, outcome.skipped, listing(out)) == (0, 3, before)


@pytest.mark.parametrize("lost", ["image.npy", "masks/mask_1.npy"])
def test_a_case_that_lacks_a_file_is_prepared_again(raw, out, lost):
    prepare_seg(raw, out, SHAPE)
    (out / CODE / "1" / lost).unlink()
    outcome = prepare_seg(raw, out, SHAPE)
    assert (outcome.prepared, outcome.skipped) == (1, 2)
    assert (out / CODE / "1" / lost).is_file()


# ---- what cannot be prepared -----------------------------------------------------------------


def spoil(raw, kind: str) -> None:
    """Make case 1 one that cannot be prepared."""
    folder, rows = raw / CODE / "1", listing(raw)
    if kind == "no image":
        (folder / "image.npy").unlink()
    elif kind == "constant":
        np.save(folder / "image.npy", np.ones((1, *SIDES), np.float32))
    elif kind == "nan":
        np.save(folder / "image.npy", np.full((1, *SIDES), np.nan, np.float32))
    elif kind == "pickle":
        np.save(folder / "image.npy", np.array([{}], object), allow_pickle=True)
    elif kind == "masks of another image":
        name = save_masks(folder, raw_masks().transpose(0, 2, 1, 3))
        rows["train"][1]["label"] = f"{CODE}/1/{name}"
    elif kind == "name without shape":
        rows["train"][1]["label"] = f"{CODE}/1/mask.npz"
    elif kind == "climbing path":
        rows["train"][1]["image"] = f"../{CODE}/1/image.npy"
    elif kind == "another folder":
        rows["train"][1]["image"] = f"{CODE}/0/image.npy"
    elif kind == "another data set":
        rows["train"][1] = {k: v.replace(CODE, "0004") for k, v in rows["train"][1].items()}
    elif kind == "no path":
        rows["train"][1] = {"image": 3}
    write_listing(raw, rows)


KINDS = ["no image", "constant", "nan", "pickle", "masks of another image", "name without shape"]
KINDS += ["climbing path", "another folder", "another data set", "no path"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_that_cannot_be_prepared_is_listed_and_left_out(raw, out, kind):
    spoil(raw, kind)
    outcome = prepare_seg(raw, out, SHAPE)
    head, line = (out / "not_prepared.tsv").read_text().splitlines()
    assert (head, line.count("\t")) == ("place\twhat\twhat to do", 2)
    assert (outcome.prepared, len(outcome.refused), len(listing(out)["train"])) == (2, 1, 3)


def test_a_case_that_was_mended_leaves_the_list(raw, out):
    whole = (raw / CODE / "1" / "image.npy").read_bytes()
    spoil(raw, "constant")
    prepare_seg(raw, out, SHAPE)
    (raw / CODE / "1" / "image.npy").write_bytes(whole)
    prepare_seg(raw, out, SHAPE)
    assert not (out / "not_prepared.tsv").exists()
    assert len(listing(out)["train"]) == 6


def test_two_cases_of_one_folder_are_refused(raw, out):
    rows = listing(raw)
    np.save(raw / CODE / "0" / "second.npy", raw_image(9))
    rows["test"] = [rows["train"][0] | {"image": f"{CODE}/0/second.npy"}]
    write_listing(raw, rows)
    (fault,) = prepare_seg(raw, out, SHAPE).refused
    assert "second.npy" in str(fault)


@pytest.mark.parametrize("labels", [None, [], {"0": "background"}, {"0": "x", "2": "liver"}])
def test_a_listing_that_names_no_classes_is_listed(raw, out, labels):
    write_listing(raw, listing(raw) | {"labels": labels})
    (fault,) = prepare_seg(raw, out, SHAPE).refused
    assert "labels" in str(fault)


@pytest.mark.parametrize("content", ["{", "[]", '{"train": 3}'])
def test_a_broken_listing_is_listed(raw, out, content):
    (raw / CODE / f"{CODE}.json").write_text(content)
    (fault,) = prepare_seg(raw, out, SHAPE).refused
    assert f"{CODE}.json" in str(fault)


def test_a_data_set_without_a_listing_is_listed(raw, out):
    (raw / "0004").mkdir()
    (fault,) = prepare_seg(raw, out, SHAPE).refused
    assert "0004.json" in str(fault)


def test_a_folder_without_listings_is_refused(tmp_path, out):
    (tmp_path / "raw").mkdir()
    assert "give the folder M3D_Seg" in refusal(prepare_seg, tmp_path / "raw", out, SHAPE)
