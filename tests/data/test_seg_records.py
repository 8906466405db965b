import json
import shutil

import numpy as np
import pytest
from seg_tree import NAMES, SEG, TERMS, box_mask, write, write_case, write_seg

from tomovox.boxes import box_in_text, box_of_mask
from tomovox.data.faults import Faults
from tomovox.data.question_templates import CLASS, SLOTS, read_templates
from tomovox.data.records import read_records
from tomovox.data.volumes import read_target, read_volume
from tomovox.schema import Task, TomovoxError

TASKS = (Task.REC, Task.REG, Task.SEG_SEMANTIC, Task.SEG_REFERRING)
FORMS = {Task.REC: 2, Task.REG: 2, Task.SEG_SEMANTIC: 1, Task.SEG_REFERRING: 1}
PER_SPLIT = 8
"""Entries of a split of the small tree."""


@pytest.fixture
def root(tmp_path):
    return write_seg(tmp_path)


def mask_of(root, record):
    shape = read_volume(root, record.volumes[0], record.id).shape
    return read_target(root, record.mask, record.mask_label, shape, record.id)


def split_by_presence(root, records):
    shown = [record for record in records if mask_of(root, record).any()]
    return shown, [record for record in records if record not in shown]


def error_of(call, *arguments, **named) -> str:
    with pytest.raises(TomovoxError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


def without_terms(root):
    (root / SEG / "term_dictionary.json").unlink()
    return root


# ---- which records there are -----------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("task", TASKS)
def test_every_entry_is_asked_once_per_form(root, task, split):
    records = read_records(root, task, split)
    labels = [record.mask for record in records]
    assert len(labels) == PER_SPLIT * FORMS[task]
    assert all(labels.count(label) == FORMS[task] for label in labels)


def test_ids_are_unique_over_tasks_and_splits(root):
    splits = ("train", "test")
    ids = [r.id for task in TASKS for split in splits for r in read_records(root, task, split)]
    assert len(set(ids)) == len(ids) == 2 * PER_SPLIT * sum(FORMS.values())


def test_the_id_is_task_split_data_set_and_row(root):
    assert read_records(root, Task.SEG_SEMANTIC, "test")[1].id == "seg_semantic/test/0003/000001"


def test_a_position_has_its_form_in_the_id(root):
    ids = [record.id for record in read_records(root, Task.REC, "test")[:2]]
    assert ids == ["rec/test/0003/000000/class", "rec/test/0003/000000/description"]


@pytest.mark.parametrize("task", [Task.REC, Task.REG])
def test_the_type_of_a_position_is_its_form(root, task):
    kinds = {record.question_type for record in read_records(root, task, "test")}
    assert kinds == {"class", "description"}


@pytest.mark.parametrize("task", [Task.SEG_SEMANTIC, Task.SEG_REFERRING])
def test_the_type_of_a_segmentation_is_its_structure(root, task):
    kinds = {record.question_type for record in read_records(root, task, "test")}
    assert kinds == {"liver", "left kidney", "spleen"}


@pytest.mark.parametrize("task", TASKS)
def test_case_volume_and_mask_are_those_of_the_entry(root, task):
    record = read_records(root, task, "train")[0]
    assert record.case == "0003/0"
    assert record.volumes == (f"{SEG}/0003/0/image.npy",)
    assert (record.mask, record.mask_label) == (f"{SEG}/0003/0/masks/mask_0.npy", 0)


def test_images_deeper_in_the_folder_of_a_case_are_one_case(root):
    entries = [e for k in "01" for e in write_case(root, f"0003/7/series_{k}", [box_mask(0, 0, 0)])]
    write(root / SEG / "0003" / "0003.json", {"test": entries})
    cases = [r.case for r in read_records(root, Task.SEG_SEMANTIC, "test") if "/7/" in r.mask]
    assert cases == ["0003/7", "0003/7"]


def test_reading_twice_gives_the_same_records(root):
    for task in TASKS:
        assert read_records(root, task, "train") == read_records(root, task, "train")


# ---- what they say ---------------------------------------------------------------------------


def test_the_box_of_an_answer_is_that_of_the_mask(root):
    shown, _ = split_by_presence(root, read_records(root, Task.REC, "train"))
    assert shown
    for record in shown:
        assert box_in_text(record.reference) == box_of_mask(mask_of(root, record)[0])


def test_the_box_of_a_question_is_that_of_the_mask(root):
    shown, _ = split_by_presence(root, read_records(root, Task.REG, "train"))
    for record in shown:
        assert box_in_text(record.question) == box_of_mask(mask_of(root, record)[0])


def test_a_region_is_answered_by_its_name(root):
    shown, _ = split_by_presence(root, read_records(root, Task.REG, "test"))
    for record in shown:
        names = NAMES[record.id.split("/")[2]]
        assert names[int(record.mask[-5])] in record.reference


@pytest.mark.parametrize("task", [Task.SEG_SEMANTIC, Task.SEG_REFERRING])
def test_only_what_is_shown_is_answered_by_the_mask_token(root, task):
    shown, absent = split_by_presence(root, read_records(root, task, "test"))
    assert {record.reference.count("[SEG]") for record in shown} == {1}
    assert {record.reference.count("[SEG]") for record in absent} == {0}


@pytest.mark.parametrize("task", TASKS)
def test_what_is_absent_is_asked_for_and_denied_without_a_box(root, task):
    _, absent = split_by_presence(root, read_records(root, task, "test"))
    assert len(absent) == 2 * FORMS[task]
    for record in absent:
        assert box_in_text(record.question + record.reference) is None
        assert record.mask


@pytest.mark.parametrize("task", [Task.REC, Task.SEG_REFERRING])
def test_a_description_is_one_of_the_structure(root, task):
    for record in read_records(root, task, "test"):
        if not record.id.endswith("/class"):
            names = NAMES[record.id.split("/")[2]]
            assert any(t in record.question for t in TERMS[names[int(record.mask[-5])]])


def test_no_slot_is_left_open(root):
    for task in TASKS:
        for record in read_records(root, task, "train"):
            assert "{" not in record.question + record.reference


def test_words_do_not_depend_on_the_other_rows(root):
    listing = root / SEG / "0003" / "0003.json"
    before = read_records(root, Task.REC, "test")[:2]
    splits = json.loads(listing.read_text())
    write(listing, {"test": splits["test"][:1], "train": splits["train"][::-1]})
    assert read_records(root, Task.REC, "test")[:2] == before


def test_own_templates_word_the_records(root):
    own = read_templates() | {"seg.cls_questions": ("Zeichne " + CLASS,)}
    records = read_records(root, Task.SEG_SEMANTIC, "test", templates=own)
    assert {r.question for r in records} == {f"Zeichne {name}" for name in TERMS}


def test_every_list_of_templates_is_used(root):
    named = {name: (" ".join((name, *slots)),) for name, slots in SLOTS.items()}
    records = [r for t in TASKS for r in read_records(root, t, "test", templates=named)]
    used = {text.split()[0] for r in records for text in (r.question, r.reference)}
    assert used == SLOTS.keys() - {"caption"}


def test_a_class_named_like_a_slot_is_only_a_name(root):
    write(root / SEG / "dataset_info.json", {"0003": ["{box}", "b"], "0011": ["c", "d"]})
    record = read_records(root, Task.SEG_SEMANTIC, "test")[0]
    assert "{box}" in record.question


# ---- what may be missing ---------------------------------------------------------------------


@pytest.mark.parametrize("task", [Task.REC, Task.REG])
def test_positions_without_descriptions_go_by_name(root, task):
    records = read_records(without_terms(root), task, "test")
    assert [record.question_type for record in records] == ["class"] * PER_SPLIT


def test_referring_without_descriptions_is_refused(root):
    message = error_of(read_records, without_terms(root), Task.SEG_REFERRING, "test")
    assert "term_dictionary.json" in message


@pytest.mark.parametrize("task", TASKS)
def test_a_tree_without_masks_is_refused(tmp_path, task):
    assert SEG in error_of(read_records, tmp_path, task, "test")


def test_masks_without_class_names_are_refused(root):
    (root / SEG / "dataset_info.json").unlink()
    assert "dataset_info.json" in error_of(read_records, root, Task.REC, "test")


@pytest.mark.parametrize("content", ["[]", '{"liver": []}', '{"liver": "text"}', '{"liver": [""]}'])
def test_a_broken_dictionary_is_refused(root, content):
    (root / SEG / "term_dictionary.json").write_text(content)
    assert "term_dictionary.json" in error_of(read_records, root, Task.REC, "test")


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_split_lists_the_known_ones(root, task):
    assert "train, test, bench" in error_of(read_records, root, task, "val")


@pytest.mark.parametrize("task", TASKS)
def test_every_entry_is_a_record_per_form_or_a_listed_fault(root, task):
    label = root / SEG / "0003" / "2" / "masks" / "mask_0.npy"
    label.write_bytes(b"no array")
    write(root / SEG / "term_dictionary.json", {k: v for k, v in TERMS.items() if k != "spleen"})
    faults = Faults(collect=True)
    records = read_records(root, task, "test", faults)
    described = task != Task.SEG_SEMANTIC
    unworded = 2 if described else 0
    assert len(faults.found) == 1 + unworded
    assert len(records) == FORMS[task] * (PER_SPLIT - 1) - unworded


def test_a_fault_names_listing_and_row(root):
    (root / SEG / "0011" / "2" / "masks" / "mask_1.npy").unlink()
    message = error_of(read_records, root, Task.REG, "test")
    assert "0011.json: test row 1" in message


def test_a_fault_of_another_split_does_not_matter(root):
    (root / SEG / "0003" / "0" / "masks" / "mask_0.npy").unlink()
    assert len(read_records(root, Task.SEG_SEMANTIC, "test")) == PER_SPLIT


# ---- the published benchmark -----------------------------------------------------------------


@pytest.mark.parametrize("task", [Task.REC, Task.REG])
def test_the_benchmark_asks_positions_of_one_data_set(root, task):
    ids = [record.id for record in read_records(root, task, "bench")]
    assert {name.split("/")[2] for name in ids} == {"0003"}


def test_the_benchmark_asks_the_test_rows(root):
    asked = [record.mask for record in read_records(root, Task.REC, "bench")]
    assert asked == [r.mask for r in read_records(root, Task.REC, "test") if "/0003/" in r.mask]


@pytest.mark.parametrize("task", [Task.SEG_SEMANTIC, Task.SEG_REFERRING])
def test_the_benchmark_of_masks_is_not_asked_in_part(root, task):
    assert "0012" in error_of(read_records, root, task, "bench")


def test_the_benchmark_leaves_out_what_else_is_there(root):
    shutil.copytree(root / SEG / "0011", root / SEG / "0012")
    (root / SEG / "0012" / "0011.json").rename(root / SEG / "0012" / "0012.json")
    write(root / SEG / "dataset_info.json", NAMES | {"0012": NAMES["0011"], "0000": ["liver"]})
    write(root / SEG / "0000" / "0000.json", {"test": []})
    ids = [record.id for record in read_records(root, Task.SEG_SEMANTIC, "bench")]
    assert {name.split("/")[2] for name in ids} == {"0003", "0011", "0012"}


# ---- M3D-RefSeg beside it --------------------------------------------------------------------


def add_refseg(root):
    folder = root / "M3D_RefSeg_npy" / "s0001"
    folder.mkdir(parents=True)
    np.save(folder / "mask.npy", np.ones((1, 2, 2, 2), np.float32))
    row = "M3D_RefSeg_npy/s0001/ct.npy,M3D_RefSeg_npy/s0001/mask.npy,1,0,Draw it.,Here: [SEG].\n"
    head = "Image,Mask,Mask_ID,Question_Type,Question,Answer\n"
    (folder.parent / "M3D_RefSeg_test.csv").write_text(head + row)
    return root


def test_referring_asks_the_rows_of_refseg_too(root):
    records = read_records(add_refseg(root), Task.SEG_REFERRING, "test")
    assert len(records) == PER_SPLIT + 1
    assert records[-1].id == "seg_referring/test/refseg/000000"


def test_refseg_alone_is_enough_to_refer(tmp_path):
    assert len(read_records(add_refseg(tmp_path), Task.SEG_REFERRING, "test")) == 1


def test_only_referring_asks_refseg(root):
    add_refseg(root)
    assert len(read_records(root, Task.SEG_SEMANTIC, "test")) == PER_SPLIT
