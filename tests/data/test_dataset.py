from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tomovox.data.dataset import (
    StudyDataset,
    collate_studies,
    group_by_study,
    move_batch,
    permute_choices,
)
from tomovox.data.prompts import Template
from tomovox.data.published_files import choices_text
from tomovox.data.records import read_records
from tomovox.data.tokenizer import build_word_tokenizer
from tomovox.schema import LETTERS, Record, Studies, Task, TomovoxError

TASKS = (Task.VQA_CLOSED, Task.VQA_OPEN, Task.REPORT)


def records_of(m3d, split: str = "train") -> list[Record]:
    return [record for task in TASKS for record in read_records(m3d.root, task, split)]


@pytest.fixture
def records(m3d) -> list[Record]:
    return records_of(m3d.fill(train=3))


def template_for(records: list[Record]) -> Template:
    template = Template()
    template.use_tokenizer(build_word_tokenizer(r.question + " " + r.reference for r in records))
    return template


def content(record: Record) -> str:
    return record.choices[LETTERS.index(record.reference[0])]


def test_a_study_holds_all_questions_of_its_volume_in_order(m3d, records):
    dataset = StudyDataset(m3d.root, records)
    assert len(dataset) == 3
    for row in range(3):
        volume = dataset.studies[row][0].volumes
        assert dataset[row].records == [r for r in records if r.volumes == volume]


def test_studies_stand_in_order_of_first_appearance(records):
    mixed = [records[3], records[0], records[4]]
    assert [study[0].id for study in group_by_study(mixed)] == [records[3].id, records[0].id]


def test_grouping_loses_and_doubles_nothing(records):
    grouped = [record for study in group_by_study(records) for record in study]
    assert Counter(grouped) == Counter(records)


def test_a_batch_of_studies_is_the_studies_one_by_one(m3d, records):
    dataset = StudyDataset(m3d.root, records, questions_per_study=2, augmented=True)
    for indices in ([2, 0, 1], [(1, 5), (0, 9), (1, 7)]):
        for item, index in zip(dataset.__getitems__(indices), indices, strict=True):
            alone = dataset[index]
            assert item.records == alone.records
            assert all(map(torch.equal, item.voxels, alone.voxels))


def test_the_volumes_of_a_batch_are_stacked_without_a_copy(m3d, records):
    items = StudyDataset(m3d.root, records).__getitems__([2, 0, 1])
    studies = collate_studies(items, template_for(records), train=True).studies
    stacked = studies.stacked()
    assert stacked.data_ptr() == studies.voxels[0].data_ptr()
    assert torch.equal(stacked, torch.stack(studies.voxels))


@pytest.mark.parametrize("rows", [[1, 0], [0, 2], [0, 0]])
def test_rows_that_do_not_follow_each_other_are_copied(rows):
    whole = torch.rand(3, 1, 2, 2, 2)
    studies = Studies([whole[row] for row in rows], torch.arange(2))
    assert torch.equal(studies.stacked(), whole[rows])


def test_volumes_that_want_a_gradient_get_it(m3d):
    voxels = [row.requires_grad_() for row in torch.rand(2, 1, 2, 2, 2).unbind()]
    Studies(voxels, torch.arange(2)).stacked().sum().backward()
    assert all(torch.equal(row.grad, torch.ones_like(row)) for row in voxels)


def test_voxels_are_those_of_the_file(m3d, records):
    (voxels,) = StudyDataset(m3d.root, records)[1].voxels
    stored = np.load(m3d.root / m3d.image(2))
    assert voxels.dtype == torch.float32
    assert torch.equal(voxels, torch.from_numpy(stored))


def test_a_study_may_have_several_series(m3d, records):
    both = (m3d.image(1), m3d.image(2))
    dataset = StudyDataset(m3d.root, [replace(records[0], volumes=both), records[0]])
    batch = collate_studies([dataset[0], dataset[1]], template_for(records), train=True)
    assert batch.studies.study.tolist() == [0, 0, 1]
    assert len(batch.studies) == 2


def test_the_same_seed_draws_the_same(m3d, records):
    dataset = StudyDataset(m3d.root, records, questions_per_study=3, shuffle_choices=True)
    assert dataset[0, 7].records == dataset[0, 7].records


def test_other_seeds_draw_others(m3d, records):
    dataset = StudyDataset(m3d.root, records, questions_per_study=3)
    drawn = {tuple(record.id for record in dataset[0, seed].records) for seed in range(20)}
    assert len(drawn) > 5


def test_a_draw_repeats_no_question(m3d, records):
    dataset = StudyDataset(m3d.root, records, questions_per_study=5)
    for seed in range(20):
        ids = [record.id for record in dataset[0, seed].records]
        assert len(set(ids)) == len(ids) == 5


def test_a_study_with_few_questions_gives_them_all(m3d, records):
    dataset = StudyDataset(m3d.root, records, questions_per_study=50)
    assert dataset[0, 1].records == dataset[0].records


def test_tasks_are_drawn_evenly_by_default(m3d, records):
    dataset = StudyDataset(m3d.root, records, questions_per_study=1)
    drawn = Counter(dataset[0, seed].records[0].task for seed in range(300))
    assert all(70 < drawn[task] < 130 for task in TASKS)


def test_the_mix_weighs_tasks(m3d, records):
    mix = {"report": 8.0}
    dataset = StudyDataset(m3d.root, records, questions_per_study=1, mix=mix)
    drawn = Counter(dataset[0, seed].records[0].task for seed in range(300))
    assert 210 < drawn[Task.REPORT] < 270


def test_permuted_choices_keep_the_content_of_the_answer(records):
    closed = [record for record in records if record.task == Task.VQA_CLOSED]
    for record in closed:
        for order in ([1, 2, 3, 0], [3, 2, 1, 0], [0, 1, 2, 3]):
            other = permute_choices(record, order)
            assert content(other) == content(record)
            assert other.reference[1:] == record.reference[1:]
            assert other.choices == tuple(record.choices[old] for old in order)


def test_a_permuted_question_lists_the_new_choices(records):
    other = permute_choices(records[0], [1, 2, 3, 0])
    assert other.question == (
        "Which plane is it? Choices: A. Coronal B. Sagittal C. Oblique D. Axial"
    )
    assert other.reference == "D. Axial"


def test_equal_choices_are_told_apart_by_place(records):
    choices = ("Cyst", "Cyst", "Mass", "None")
    record = replace(
        records[0], choices=choices, question="Q?" + choices_text(choices), reference="B. Cyst"
    )
    assert permute_choices(record, [1, 0, 2, 3]).reference == "A. Cyst"


def test_shuffling_moves_answers_to_every_letter(m3d, records):
    dataset = StudyDataset(m3d.root, records, shuffle_choices=True)
    letters = {dataset[0, seed].records[0].reference[0] for seed in range(40)}
    assert letters == set(LETTERS)


def test_only_closed_questions_of_draws_are_shuffled(m3d, records):
    dataset = StudyDataset(m3d.root, records, shuffle_choices=True)
    kept = {record.id: record for record in records}
    assert all(kept[record.id] == record for record in dataset[0].records)
    drawn = [r for seed in range(10) for r in dataset[0, seed].records]
    assert all(kept[r.id] == r for r in drawn if r.task != Task.VQA_CLOSED)


def test_augmentation_is_drawn_with_the_questions(m3d, records):
    dataset = StudyDataset(m3d.root, records, augmented=True)
    assert torch.equal(dataset[0, 3].voxels[0], dataset[0, 3].voxels[0])
    plain = dataset[0].voxels[0]
    assert any(not torch.equal(dataset[0, seed].voxels[0], plain) for seed in range(5))


def test_the_limit_keeps_the_first_studies(m3d, records):
    dataset = StudyDataset(m3d.root, records, limit=2)
    assert [study[0].case for study in dataset.studies] == ["ct_case/000001", "ct_case/000002"]


def test_a_bad_volume_raises_with_its_record(m3d, records):
    (m3d.root / m3d.image(2)).unlink()
    dataset = StudyDataset(m3d.root, records)
    with pytest.raises(TomovoxError, match=dataset.studies[1][0].id):
        dataset[1]


def test_a_bad_volume_is_listed_with_every_question_and_not_replaced(m3d, records):
    (m3d.root / m3d.image(2)).write_bytes(b"broken")
    dataset = StudyDataset(m3d.root, records, on_bad_volume="list")
    lost = [record.id for record in records if record.volumes == (m3d.image(2),)]
    assert [name for name, _ in dataset.left_out] == lost
    kept = [record.id for row in range(len(dataset)) for record in dataset[row].records]
    assert sorted(kept + lost) == sorted(record.id for record in records)


def test_a_split_without_readable_volume_is_refused(m3d, records):
    for case in (1, 2, 3):
        (m3d.root / m3d.image(case)).unlink()
    with pytest.raises(TomovoxError, match="no such volume"):
        StudyDataset(m3d.root, records, on_bad_volume="list")


def test_the_weight_of_a_study_is_the_mean_of_its_tasks(m3d, records):
    plain = StudyDataset(m3d.root, records)
    assert plain.weights == [1.0] * len(plain)
    mixed = StudyDataset(m3d.root, records, mix={Task.REPORT: 4.0})
    for study, weight in zip(mixed.studies, mixed.weights, strict=True):
        tasks = {record.task for record in study}
        assert weight == (4.0 + len(tasks) - 1 if Task.REPORT in tasks else len(tasks)) / len(tasks)


def test_questions_point_to_the_row_of_their_study(m3d, records):
    dataset = StudyDataset(m3d.root, records)
    batch = collate_studies([dataset[2], dataset[0]], template_for(records), train=True)
    cases = ["ct_case/000003", "ct_case/000001"]
    assert [cases[row] for row in batch.questions.study.tolist()] == [
        record.case for record in batch.records
    ]


def test_plane_and_phase_are_withheld(m3d, records):
    dataset = StudyDataset(m3d.root, records)
    studies = collate_studies([dataset[0], dataset[1]], template_for(records), train=True).studies
    assert studies.plane == studies.phase == ["", ""]


def test_a_moved_batch_is_equal_and_on_the_device(m3d, records):
    batch = collate_studies([StudyDataset(m3d.root, records)[0]], template_for(records), train=True)
    moved = move_batch(batch, torch.device("meta"))
    assert moved.input_ids.is_meta and moved.labels.is_meta and moved.attention_mask.is_meta
    assert moved.studies.voxels[0].is_meta and moved.questions.study.is_meta
    assert moved.records == batch.records
    same = move_batch(batch, torch.device("cpu"))
    assert torch.equal(same.input_ids, batch.input_ids)


# ---- masks -------------------------------------------------------------------------------------


def asks_to_draw(m3d, number: int, mask: str, label: int = 0) -> Record:
    return Record(
        id=f"seg_semantic/train/{number:06d}",
        task=Task.SEG_SEMANTIC,
        split="train",
        case="9000/1",
        volumes=(m3d.image(1),),
        question="Segment the liver.",
        reference="Sure, [SEG].",
        mask=mask,
        mask_label=label,
    )


def write_array(m3d, name: str, array: np.ndarray) -> str:
    np.save(m3d.root / name, array, allow_pickle=False)
    return name


def test_a_question_that_asks_for_a_mask_brings_its_own(m3d, records):
    mask = np.zeros((1, 2, 4, 4), bool)
    mask[:, 1, 2:] = True
    one = asks_to_draw(m3d, 0, write_array(m3d, "one.npy", mask))
    none = asks_to_draw(m3d, 1, write_array(m3d, "none.npy", np.zeros((1, 1, 1, 1), bool)))
    other = next(r for r in records if r.volumes == one.volumes)
    dataset = StudyDataset(m3d.root, [other, one, none])
    template = template_for([other, one, none])
    batch = collate_studies([dataset[0], dataset[0]], template, train=True)
    assert batch.mask_rows.tolist() == [1, 2, 4, 5]
    assert np.array_equal(batch.masks[0].numpy(), mask) and not batch.masks[1].any()
    moved = move_batch(batch, torch.device("cpu"))
    assert torch.equal(moved.masks, batch.masks) and moved.mask_rows.tolist() == [1, 2, 4, 5]


def test_a_label_picks_its_finding_out_of_a_file_of_several(m3d, records):
    labels = np.zeros((1, 2, 4, 4), np.float32)
    labels[0, 0, 0], labels[0, 1, 3] = 1, 2
    record = asks_to_draw(m3d, 0, write_array(m3d, "labels.npy", labels), label=2)
    (item,) = StudyDataset(m3d.root, [record])
    assert np.array_equal(item.masks[0].numpy(), labels == 2)


def test_a_batch_that_asks_for_no_mask_has_none(m3d, records):
    batch = collate_studies([StudyDataset(m3d.root, records)[0]], template_for(records), True)
    assert batch.masks is None and batch.mask_rows is None


def test_labels_of_another_size_are_refused_by_record(m3d, records):
    labels = write_array(m3d, "labels.npy", np.zeros((1, 2, 4, 5), np.uint8))
    with pytest.raises(TomovoxError, match=r"seg_semantic/train/000000.*prepare image and mask"):
        StudyDataset(m3d.root, [asks_to_draw(m3d, 0, labels, label=1)])[0]
