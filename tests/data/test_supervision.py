"""Are the labels of encoder pretraining those of the questions and masks, joined by content?"""

import json
from pathlib import Path

import numpy as np
import pytest

from tomovox.data.supervision import (
    AnswerHeads,
    FindingMasks,
    LabelHeads,
    VisionDataset,
    answer_heads,
    digest,
    finding_masks,
    right_answer,
)
from tomovox.schema import IGNORE, Record, Task, TomovoxError

SHAPE = (2, 4, 4)


def closed(kind: str, choices: tuple[str, ...], letter: str, volume: str = "a.npy") -> Record:
    text = choices["ABCD".index(letter)]
    return Record(
        id=f"vqa_closed/train/{kind}-{letter}-{text}",
        task=Task.VQA_CLOSED,
        split="train",
        case="1",
        volumes=(volume,),
        question="Which?",
        reference=f"{letter}. {text}",
        question_type=kind,
        choices=choices,
    )


PLANES = ("Axial", "Coronal", "Sagittal", "Oblique")
AXIAL, CORONAL = closed("plane", PLANES, "A"), closed("plane", PLANES, "B")
LIVER, KIDNEY = (closed("organ", ("Liver", "Kidney", "Colon", "Lung"), letter) for letter in "AB")
LEFT, RIGHT = (closed("organ", ("Left", "Right", "Both", "None"), letter) for letter in "AB")
HEADS = AnswerHeads([[("organ", "kidney"), ("organ", "liver")], [("plane", "axial")]])


# ---- labels of reports -----------------------------------------------------------------------


def test_every_label_is_a_head_of_absent_and_present():
    heads = LabelHeads({LIVER.id: (True, False, True)})
    assert heads.sizes == [2, 2, 2]
    assert heads.targets([LIVER]).tolist() == [1, 0, 1]


# ---- answers ---------------------------------------------------------------------------------


def test_the_right_answer_is_the_text_of_the_letter():
    assert right_answer(CORONAL) == ("plane", "coronal")


def test_answers_offered_together_share_a_head():
    heads = answer_heads([AXIAL, CORONAL])
    assert heads.classes == [[("plane", "axial"), ("plane", "coronal")]]


def test_answers_of_one_type_that_never_compete_have_heads_of_their_own():
    heads = answer_heads([LIVER, KIDNEY, LEFT, RIGHT])
    assert sorted(heads.classes) == [
        [("organ", "kidney"), ("organ", "liver")],
        [("organ", "left"), ("organ", "right")],
    ]


def test_answers_that_compete_with_a_third_share_its_head():
    first = closed("organ", ("Liver", "Colon", "Lung", "Bone"), "A")
    second = closed("organ", ("Kidney", "Colon", "Skin", "Ear"), "A")
    assert answer_heads([first, second]).sizes == [2]


def test_the_same_word_of_two_question_types_is_two_answers():
    other = closed("location", ("Liver", "Kidney", "Colon", "Lung"), "A")
    assert answer_heads([LIVER, KIDNEY, other]).classes == [
        [("organ", "kidney"), ("organ", "liver")]
    ]


def test_a_head_with_one_right_answer_is_left_out():
    assert answer_heads([AXIAL, AXIAL]).classes == []


def test_a_head_keeps_its_most_frequent_right_answers():
    sagittal = closed("plane", PLANES, "C")
    records = [AXIAL, AXIAL, CORONAL, sagittal, sagittal]
    assert answer_heads(records, most=2).classes == [[("plane", "axial"), ("plane", "sagittal")]]


def test_heads_do_not_depend_on_the_order_of_the_records():
    records = [AXIAL, CORONAL, LIVER, KIDNEY, LEFT, RIGHT]
    assert answer_heads(records) == answer_heads(records[::-1])


def test_targets_are_the_class_of_each_head():
    assert HEADS.targets([AXIAL, LIVER]).tolist() == [1, 0]


def test_a_head_that_was_not_asked_is_ignored():
    assert HEADS.targets([KIDNEY]).tolist() == [0, IGNORE]


def test_an_answer_outside_the_heads_is_ignored():
    assert HEADS.targets([CORONAL]).tolist() == [IGNORE, IGNORE]


# ---- masks -----------------------------------------------------------------------------------


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((1, *SHAPE), dtype=np.float32)


def box(depth: int) -> np.ndarray:
    mask = np.zeros((1, *SHAPE), bool)
    mask[:, depth, :2, :2] = True
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with image 1 in M3D-Cap and, under another name, in M3D-Seg; image 2 only in Cap."""
    seg = tmp_path / "M3D_Seg_npy"
    folder = seg / "9000" / "x"
    folder.mkdir(parents=True)
    for place, seed in ((tmp_path / "one.npy", 1), (tmp_path / "two.npy", 2)):
        np.save(place, volume(seed))
    np.save(folder / "image.npy", volume(1))
    np.save(folder / "mask_0.npy", box(0))
    np.save(folder / "mask_1.npy", box(1))
    np.save(folder / "mask_2.npy", np.zeros((1, 1, 1, 1), bool))
    entries = [{"image": "9000/x/image.npy", "label": f"9000/x/mask_{k}.npy"} for k in range(3)]
    (seg / "9000" / "9000.json").write_text(json.dumps({"train": entries, "test": []}))
    (seg / "dataset_info.json").write_text(json.dumps({"9000": ["cyst", "mass", "stone"]}))
    return tmp_path


def test_two_copies_of_an_image_have_one_digest(root):
    assert digest(root / "one.npy") == digest(root / "M3D_Seg_npy/9000/x/image.npy")
    assert digest(root / "one.npy") != digest(root / "two.npy")


def test_masks_are_found_by_the_content_of_the_image(root):
    labels = finding_masks(root).labels(root, "one.npy", SHAPE)
    expected = box(0)[0] * 1 + box(1)[0] * 2
    assert labels.tolist() == expected.tolist()


def test_an_image_without_masks_has_no_labels(root):
    assert finding_masks(root).labels(root, "two.npy", SHAPE) is None


def test_classes_that_are_not_named_are_background(root):
    masks = finding_masks(root, ["mass"])
    assert masks.classes == ["mass"]
    assert masks.labels(root, "one.npy", SHAPE).tolist() == box(1)[0].astype(int).tolist()


def test_an_image_whose_classes_are_all_left_out_is_known_to_hold_none(root):
    labels = finding_masks(root, ["stone"]).labels(root, "one.npy", SHAPE)
    assert labels is not None and not labels.any()


def test_without_segmentation_data_the_index_is_empty(tmp_path):
    assert finding_masks(tmp_path) == FindingMasks([], {})


def test_more_classes_than_a_byte_holds_are_refused(root):
    names = {"9000": [f"class {i}" for i in range(255)]}
    (root / "M3D_Seg_npy" / "dataset_info.json").write_text(json.dumps(names))
    with pytest.raises(TomovoxError, match="255 classes"):
        finding_masks(root)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "broken JSON"),
        ("[" * 5000, "nested too deep"),
        ('{"other": []}', "neither train nor test"),
        ('{"train": [{"image": "x.npy", "label": "mask_7.npy"}]}', "a class below 3"),
        ('{"train": [{"image": "x.npy", "label": "mask_-1.npy"}]}', "a class below 3"),
        ('{"train": [{"image": "../x.npy", "label": "mask_0.npy"}]}', "leaves the data root"),
        ('{"train": [{"image": "none.npy", "label": "mask_0.npy"}]}', "image cannot be read"),
    ],
)
def test_a_bad_list_of_masks_is_named_in_one_line(root, content, fault):
    (root / "M3D_Seg_npy/9000/9000.json").write_text(content)
    with pytest.raises(TomovoxError, match=rf"9000\.json:.*{fault}") as caught:
        finding_masks(root)
    assert "\n" not in str(caught.value)


def test_a_mask_of_another_size_than_its_image_is_named(root):
    np.save(root / "M3D_Seg_npy/9000/x/mask_1.npy", np.ones((1, 3, 4, 4), bool))
    with pytest.raises(TomovoxError, match=r"mask_1\.npy .*: a mask of shape"):
        finding_masks(root).labels(root, "one.npy", SHAPE)


# ---- the data set ----------------------------------------------------------------------------


def test_an_item_is_one_volume_with_all_its_answers_and_labels(root):
    records = [closed("plane", PLANES, "A", "one.npy"), closed("plane", PLANES, "B", "two.npy")]
    records.append(closed("organ", LIVER.choices, "B", "one.npy"))
    dataset = VisionDataset(root, records, HEADS, finding_masks(root))
    voxels, answers, labels, record = dataset[0]
    assert len(dataset) == 2
    assert voxels.shape == (1, *SHAPE) and labels.shape == SHAPE
    assert answers.tolist() == [0, 0]
    assert record == records[0].id
    assert dataset[1][2] is None


def test_an_unreadable_volume_is_left_out_with_its_questions_when_asked_to(root):
    records = [closed("plane", PLANES, "A", "one.npy"), closed("plane", PLANES, "B", "two.npy")]
    (root / "one.npy").write_bytes((root / "one.npy").read_bytes()[:100])
    dataset = VisionDataset(root, records, HEADS, FindingMasks([], {}), on_bad_volume="list")
    assert [name for name, _ in dataset.left_out] == [records[0].id]
    assert len(dataset) == 1 and dataset[0][0].shape == (1, *SHAPE)


def test_an_unreadable_volume_is_named_by_default(root):
    (root / "one.npy").write_bytes(b"")
    records = [closed("plane", PLANES, "A", "one.npy")]
    with pytest.raises(TomovoxError, match=r"one\.npy"):
        VisionDataset(root, records, HEADS, FindingMasks([], {}))[0]
