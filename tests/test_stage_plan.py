"""Are the data of an experiment made once, where all its rows find them?"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tomovox.data.experiment_data import DataSource, SampleData
from tomovox.data.question_templates import OWN
from tomovox.schema import TomovoxError
from tomovox.stage_kinds import (
    LanguageStage,
    MaskStage,
    SharedStages,
    VisionStage,
)
from tomovox.stage_plan import StagePlan


def _plan(folder: Path, source: DataSource) -> StagePlan:
    return StagePlan(folder, source, SharedStages(), seed=0)


@pytest.fixture
def written(monkeypatch):
    calls = []

    def write(root, shape, archives, native):
        calls.append((shape, archives, native))
        root.mkdir(parents=True)
        (root / "sample.json").touch()

    monkeypatch.setattr("tomovox.stage_plan.write_sample", write)
    return calls


def test_the_real_sample_is_written_once(tmp_path, written):
    source = DataSource(sample=SampleData((8, 16, 16), archives="downloads"))
    roots = {_plan(tmp_path, source).data_root(workers=1) for _ in range(2)}
    assert len(roots) == 1
    assert written == [((8, 16, 16), Path("downloads"), False)]


def test_samples_of_two_shapes_lie_apart(tmp_path, written):
    shapes = ((8, 16, 16), (8, 32, 32))
    plans = [_plan(tmp_path, DataSource(sample=SampleData(shape))) for shape in shapes]
    assert len({plan.data_root(workers=1) for plan in plans}) == 2


def test_a_sample_of_all_slices_lies_apart_and_is_other_data(tmp_path, written):
    sources = [
        DataSource(sample=SampleData((8, 16, 16), native=native)) for native in (False, True)
    ]
    plans = [_plan(tmp_path, source) for source in sources]
    roots = [plan.data_root(workers=1) for plan in plans]
    assert len(set(roots)) == 2
    assert plans[0].data_key(roots[0], {}) != plans[1].data_key(roots[1], {})


def test_an_experiment_without_data_is_told_what_to_name(tmp_path):
    with pytest.raises(TomovoxError, match="no root, phantom or sample"):
        _plan(tmp_path, DataSource()).data_root(workers=1)


MODEL = {
    "class_path": "tomovox.models.m3d_lamed.M3DLaMed",
    "init_args": {"vision3d": {"width": 32, "tap": "normed"}, "language": {"architecture": {}}},
}


def folders(tmp_path: Path, config: dict, **shared) -> dict[str, str]:
    """Return stage name -> folder name for a root with one annotation file."""
    vqa = tmp_path / "M3D-VQA"
    vqa.mkdir(exist_ok=True)
    if not (vqa / "M3D_VQA_train.csv").exists():
        (vqa / "M3D_VQA_train.csv").write_text("a", encoding="utf-8")
    stages = SharedStages(language=LanguageStage(), vision3d=VisionStage())
    plan = StagePlan(tmp_path, DataSource(root=str(tmp_path)), replace(stages, **shared), seed=0)
    template = {"init_args": {"tokenizer": "words"}}
    _, jobs = plan.resolve({"model": MODEL, "data": {"template": template, **config}}, tmp_path)
    return {job.name: job.folder.name for job in jobs}


def test_a_dual_encoder_shares_the_stage_of_the_same_encoder(tmp_path):
    shared = folders(tmp_path, {})
    encoder = {"init_args": {"vision3d": {**MODEL["init_args"]["vision3d"], "frozen": False}}}
    model = {"class_path": "ClipTraining", "init_args": {"encoder": encoder, "lr": 1.0}}
    plan = StagePlan(
        tmp_path, DataSource(root=str(tmp_path)), SharedStages(vision3d=VisionStage()), seed=0
    )
    data = {"class_path": "ReportPairs", "init_args": {"batch_size": 4}}
    config, jobs = plan.resolve_pairs({"model": model, "data": data}, tmp_path)
    assert [job.folder.name for job in jobs] == [shared["vision3d"]]
    filled = config["model"]["init_args"]["encoder"]["init_args"]["vision3d"]
    assert filled["weights"] == str(jobs[0].folder) and not filled["frozen"]
    assert config["data"]["init_args"] == {"batch_size": 4, "root": str(tmp_path)}


def test_a_mask_head_gets_a_stage_where_one_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(MODEL["init_args"], "mask_head", {"vision3d": {"width": 32}})
    assert "mask_head" not in folders(tmp_path, {})
    few, more = (folders(tmp_path, {}, mask_head=MaskStage(max_steps=n)) for n in (1, 2))
    assert few["vision3d"] == more["vision3d"] and few["mask_head"] != more["mask_head"]


def test_where_an_encoder_is_read_does_not_change_its_stage(tmp_path, monkeypatch):
    first = folders(tmp_path, {})
    monkeypatch.setitem(MODEL["init_args"]["vision3d"], "tap", "last_block")
    assert folders(tmp_path, {}) == first


@pytest.mark.parametrize(
    ("shared", "changed"),
    [
        ({"finding_classes": ["cyst"]}, {"vision3d"}),
        ({"vision3d": VisionStage(boxes=False)}, {"vision3d"}),
        ({"language": LanguageStage(max_steps=1)}, {"language"}),
    ],
)
def test_a_stage_is_made_again_when_its_settings_change(tmp_path, shared, changed):
    before, after = folders(tmp_path, {}), folders(tmp_path, {}, **shared)
    assert {name for name in before if before[name] != after[name]} == changed


def test_the_tasks_change_the_language_stage_alone(tmp_path):
    before, after = folders(tmp_path, {}), folders(tmp_path, {"tasks": ["vqa_open"]})
    assert {name for name in before if before[name] != after[name]} == {"language"}


def test_other_annotations_change_every_stage(tmp_path):
    before = folders(tmp_path, {})
    (tmp_path / "M3D-VQA" / "M3D_VQA_train.csv").write_text("b", encoding="utf-8")
    after = folders(tmp_path, {})
    assert all(before[name] != after[name] for name in before)


def templates(path: Path, caption: str) -> dict[str, str]:
    """Write our own question templates with another caption; return the settings that name it."""
    lists = json.loads(OWN.read_text(encoding="utf-8")) | {"caption": [caption]}
    path.write_text(json.dumps(lists), encoding="utf-8")
    return {"prompts": str(path)}


def test_other_question_templates_are_other_data_that_change_the_language_stage(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    keys, stages = [], []
    for caption in ("What is seen?", "Which findings are there?"):
        data = templates(tmp_path / "mine.json", caption)
        plan = _plan(tmp_path, DataSource(root=str(root)))
        keys.append(plan.data_key(root, data))
        stages.append(folders(root, data))
    assert keys[0] != keys[1] and plan.data_key(root, {}) not in keys
    assert {name for name in stages[0] if stages[0][name] != stages[1][name]} == {"language"}


@pytest.mark.parametrize("weights", ["mine.safetensors", None])
def test_a_part_whose_weights_are_named_be_it_none_gets_no_stage(tmp_path, monkeypatch, weights):
    monkeypatch.setitem(MODEL["init_args"]["vision3d"], "weights", weights)
    assert set(folders(tmp_path, {})) == {"language"}
