"""Does a record get all series of its case, and does no question hear what it asks for?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tomovox.data.datamodule import M3DDataModule
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.data.records import read_records
from tomovox.data.series import SeriesFacts, is_told, series_facts, with_case_series
from tomovox.schema import Batch, Record, Task, TomovoxError

NAMES = ("Coronal_C__portal_venous_phase", "Axial_non_contrast", "Sagittal_C__delayed")


def fill(m3d, split: str, cases: Sequence[int], names: Sequence[str] = NAMES, cap=None) -> dict:
    """Write cases of several series, each with a report and three questions; return M3D_Cap."""
    rows, asked = [], []
    for case in cases:
        m3d.write_text(m3d.text(case), f"Finding number {case}.")
        for number, name in enumerate(names):
            image = m3d.write_volume(m3d.image(case, name), seed=10 * case + number)
            rows.append({"image": image, "text": m3d.text(case)})
            asked += [m3d.row(case, kind, **{"Image Path": image}) for kind in range(3)]
    m3d.write_vqa(split, asked)
    splits = {**(cap or {}), split: rows}
    m3d.write_cap(splits)
    return splits


def records(m3d, task: Task, split: str) -> list[Record]:
    return with_case_series(m3d.root, read_records(m3d.root, task, split), split)


def module(root: Path, **options) -> M3DDataModule:
    data = M3DDataModule(str(root), template=Template(), batch_size=2, **options)
    data.setup("predict")
    return data


@pytest.mark.parametrize("mix", [{}, {"report": 2.0}])
def test_what_is_told_changes_how_often_no_task_is_trained(m3d, mix):
    fill(m3d, "train", [1, 2])
    shares = []
    for tell in (False, True):
        data = M3DDataModule(
            str(m3d.root), Template(), batch_size=2, mix=mix, tell_series=tell, val_split="train"
        )
        data.setup("fit")
        dataset = data._ready("train")
        share = dict.fromkeys((Task.REPORT, Task.VQA_CLOSED, Task.VQA_OPEN), 0.0)
        for study, weight in zip(dataset.studies, dataset.weights, strict=True):
            tasks = {record.task for record in study}
            drawn = {task: mix.get(task, 1.0) for task in tasks}
            for task in tasks:
                share[task] += weight * drawn[task] / sum(drawn.values())
        shares.append(share)
    assert shares[0] == pytest.approx(shares[1])


# ---- which series ----------------------------------------------------------------------------


@pytest.mark.parametrize("task", [Task.VQA_CLOSED, Task.VQA_OPEN, Task.REPORT])
def test_a_record_gets_the_series_of_its_case_with_its_own_first(m3d, task):
    fill(m3d, "test", [1, 2])
    own = read_records(m3d.root, task, "test")
    for record, one in zip(records(m3d, task, "test"), own, strict=True):
        case = int(record.case.split("/")[1])
        assert record.volumes[:1] == one.volumes
        assert sorted(record.volumes) == sorted(m3d.image(case, name) for name in NAMES)


def test_a_report_gets_the_other_series_as_they_are_listed(m3d):
    fill(m3d, "test", [1])
    listed = [m3d.image(1, name) for name in NAMES]
    for own, record in zip(listed, records(m3d, Task.REPORT, "test"), strict=True):
        assert list(record.volumes[1:]) == [volume for volume in listed if volume != own]


def test_in_a_sorted_listing_the_order_of_series_says_nothing_of_plane_or_phase(m3d):
    names = sorted(NAMES)
    fill(m3d, "test", range(1, 121), names)
    found = records(m3d, Task.VQA_CLOSED, "test")
    for own in names:
        seconds = [Path(r.volumes[1]).stem for r in found if Path(r.volumes[0]).stem == own]
        first, second = Counter(seconds).values()
        assert abs(first - second) < 0.25 * len(seconds)


def test_all_questions_of_a_case_see_its_other_series_in_one_order(m3d):
    fill(m3d, "test", [1])
    orders = {
        tuple(v for v in r.volumes[1:] if v not in r.volumes[:1])
        for r in records(m3d, Task.VQA_CLOSED, "test")
    }
    assert len(orders) == len(NAMES)


def test_only_the_series_change(m3d):
    fill(m3d, "test", [1])
    own = read_records(m3d.root, Task.VQA_CLOSED, "test")
    for record, one in zip(records(m3d, Task.VQA_CLOSED, "test"), own, strict=True):
        assert {**asdict(record), "volumes": 0} == {**asdict(one), "volumes": 0}


def test_series_of_another_split_are_left_out(m3d):
    splits = fill(m3d, "test", [1])
    train = [{"image": m3d.image(1, "Axial_C__delayed"), "text": m3d.text(1)}]
    m3d.write_cap({**splits, "train": train})
    found = {v for record in records(m3d, Task.REPORT, "test") for v in record.volumes}
    assert found == {m3d.image(1, name) for name in NAMES}


def test_a_pool_has_the_series_of_the_split_that_it_is_cut_from(m3d):
    splits = fill(m3d, "test", [1])
    m3d.write_cap({**splits, "test1k": splits["test"][:1]})
    (record,) = records(m3d, Task.REPORT, "test1k")
    assert record.volumes == tuple(m3d.image(1, name) for name in NAMES)


def test_without_m3d_cap_the_series_are_those_that_are_asked_about(m3d):
    fill(m3d, "test", [1])
    (m3d.root / "M3D_Cap_npy" / "M3D_Cap.json").unlink()
    first = records(m3d, Task.VQA_OPEN, "test")[0]
    assert first.volumes == tuple(m3d.image(1, name) for name in NAMES)


def test_the_module_shows_own_series_unless_told_otherwise(m3d):
    fill(m3d, "train", [3], cap=fill(m3d, "test", [1]))
    shown = {
        series: {len(b.studies.voxels) for b in module(m3d.root, **given).predict_dataloader()}
        for series, given in {"own": {}, "case": {"series": "case"}}.items()
    }
    assert shown == {"own": {1}, "case": {3}}


def test_both_ways_ask_the_same_records(m3d):
    fill(m3d, "train", [3], cap=fill(m3d, "test", [1, 2]))
    own, case = (
        sorted(r.id for study in module(m3d.root, series=s).predict_studies() for r in study)
        for s in ("own", "case")
    )
    assert own == case


@pytest.mark.parametrize(
    "options",
    [{"series": "case"}, {"tell_series": True}, {"series": "case", "tell_series": True}],
)
def test_a_limit_keeps_the_same_records_whatever_is_shown_and_told(m3d, options):
    fill(m3d, "train", [4], cap=fill(m3d, "test", [1, 2, 3]))
    tasks = ["vqa_closed", "report", "case_report"]
    plain, other = (
        sorted(
            r.id
            for study in module(m3d.root, limit=2, tasks=tasks, **given).predict_studies()
            for r in study
        )
        for given in ({}, options)
    )
    assert plain == other and {name.split("/")[0] for name in plain} == set(tasks)


def test_the_series_of_a_case_may_differ_in_length(tmp_path):
    write_phantom(tmp_path / "data", 4, 0, (8, 16, 16), test_cases=2, series=3, native=True)
    data = module(tmp_path / "data", series="case", tasks=["vqa_closed"])
    shown = [[v.shape[1] for v in b.studies.voxels] for b in data.predict_dataloader()]
    assert {len(depths) for depths in shown} == {3} and any(len(set(d)) > 1 for d in shown)


# ---- what is told ----------------------------------------------------------------------------


def test_a_series_is_known_by_its_name():
    facts = series_facts(Path("nowhere"), [f"M3D_Cap_npy/ct_case/1/{name}.npy" for name in NAMES])
    assert list(facts.values()) == [
        SeriesFacts("coronal", "portal venous"),
        SeriesFacts("axial", "noncontrast"),
        SeriesFacts("sagittal", "delayed"),
    ]


def test_a_phantom_knows_its_kernels_too(tmp_path):
    write_phantom(tmp_path / "data", 4, 0, (8, 16, 16))
    reports = read_records(tmp_path / "data", Task.REPORT, "train")
    facts = series_facts(tmp_path / "data", [r.volumes[0] for r in reports])
    assert {f.kernel for f in facts.values()} <= {"soft", "sharp"}
    assert all((f.plane, f.phase) for f in facts.values())


def test_a_table_of_series_without_its_columns_is_refused(m3d):
    m3d.write_text("series.csv", "image,plane\n")
    with pytest.raises(TomovoxError, match=r"series\.csv: no column 'case'"):
        series_facts(m3d.root, [])


def test_nothing_is_told_by_default(m3d):
    fill(m3d, "train", [3], cap=fill(m3d, "test", [1]))
    for batch in module(m3d.root, series="case").predict_dataloader():
        known = (batch.studies.plane, batch.studies.phase, batch.studies.kernel)
        assert known == ([""] * 3,) * 3


@pytest.mark.parametrize("series", ["own", "case"])
def test_reports_are_told_and_questions_never(m3d, series):
    fill(m3d, "train", [3], cap=fill(m3d, "test", [1, 2]))
    tasks = ["vqa_closed", "vqa_open", "report", "case_report"]
    data = module(m3d.root, series=series, tell_series=True, tasks=tasks)
    asked = set()
    for batch in data.predict_dataloader():
        told = {is_told(record) for record in batch.records}
        assert len(told) == 1
        assert told == {bool(plane) for plane in batch.studies.plane}
        assert told == {bool(phase) for phase in batch.studies.phase}
        asked |= {record.task for record in batch.records}
    assert asked == {Task(task) for task in tasks}


def seen(batch: Batch) -> list[object]:
    """All that a model gets."""
    studies, asked = batch.studies, batch.questions
    tensors = [*studies.voxels, studies.study, asked.ids, asked.mask, asked.study]
    tensors += [batch.input_ids, batch.attention_mask]
    return [*tensors, studies.plane, studies.phase, studies.kernel, asked.text]


@pytest.mark.parametrize("series", ["own", "case"])
def test_other_names_of_plane_and_phase_change_nothing_for_a_question(m3d, tmp_path, series):
    found = []
    for names in (
        NAMES,
        ("Axial_C__arterial_phase", "Sagittal_C__delayed", "Coronal_non_contrast"),
    ):
        folder = type(m3d)(tmp_path / names[0])
        fill(folder, "train", [3], cap=fill(folder, "test", [1, 2], names))
        data = module(folder.root, series=series, tell_series=True, tasks=["vqa_closed"])
        found.append([part for batch in data.predict_dataloader() for part in seen(batch)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
