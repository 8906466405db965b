"""Are the stages without labels made as others are: continued when cut, from vectors made once?"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tomovox.data.experiment_data import DataSource
from tomovox.data.phantom import write_phantom
from tomovox.models.part_training import PartTraining
from tomovox.models.slice_store import SliceStore
from tomovox.models.slices import SliceEncoder, SliceEncoderConfig
from tomovox.models.weights import save_tensors
from tomovox.models.zformer import ZFormerConfig
from tomovox.schema import TomovoxError
from tomovox.stage_kinds import (
    MaskedEmbeddingStage,
    SelfDistillationStage,
    SharedStages,
    VisionStage,
)
from tomovox.stage_plan import StageJob, StagePlan
from tomovox.stages import make_stage

ENCODER = {"image": 16, "patch": 4, "width": 32}
ZFORMER = {"width": 32, "layers": 1, "heads": 2}
STEPS = 7
DISTILLATION = SelfDistillationStage(
    "self_distillation", STEPS, batch_size=2, slices_per_volume=2, small_views=1, prototypes=8
)
STAGES = SharedStages(vision2d=DISTILLATION, zformer=MaskedEmbeddingStage(STEPS, batch_size=2))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stages") / "data"
    write_phantom(folder, cases=7, seed=0, shape=(8, 16, 16), difficulty="easy", series=2)
    return folder


def jobs_of(
    folder: Path,
    root: Path,
    stages: SharedStages = STAGES,
    parts: dict | None = None,
    **data,
) -> dict[str, StageJob]:
    """Return stage name -> job, of a model with a slice encoder and a Z-former."""
    plan = StagePlan(folder, DataSource(root=str(root)), stages, seed=0)
    model = {"class_path": "MSVLM", "init_args": parts or {"vision2d": ENCODER, "zformer": ZFORMER}}
    template = {"init_args": {"tokenizer": "words"}}
    _, jobs = plan.resolve({"model": model, "data": {"template": template, **data}}, root)
    for job in jobs:
        job.quiet, job.checkpoint_minutes = True, 0.0
    return {job.name: job for job in jobs}


@pytest.fixture(scope="module")
def made(tmp_path_factory, root) -> dict[str, StageJob]:
    """Both stages, made without a cut; no test changes them."""
    jobs = jobs_of(tmp_path_factory.mktemp("uncut"), root)
    for job in jobs.values():
        make_stage(job)
    return jobs


def weights(job: StageJob) -> dict:
    return load_file(job.folder / "model.safetensors")


class Cut(Exception):
    """What ends a training in the middle."""


def cut_at(step: int):
    def on_train_batch_start(module: PartTraining, *_) -> None:
        if module.trainer.global_step == step:
            raise Cut

    return on_train_batch_start


# ---- made ------------------------------------------------------------------------------------


def test_each_part_loads_what_its_stage_made(made):
    for job, config in ((made["vision2d"], SliceEncoderConfig), (made["zformer"], ZFormerConfig)):
        sizes = ENCODER if job.name == "vision2d" else ZFORMER
        part = config(**sizes, weights=str(job.folder))
        part = part.build() if job.name == "vision2d" else part.build(32)
        assert all((part.state_dict()[k] == v).all() for k, v in weights(job).items())


def test_a_stage_says_what_it_learned_from(made):
    figures = [json.loads((job.folder / "stage.json").read_text()) for job in made.values()]
    assert figures[0]["unlabelled_volumes"] == figures[1]["masked_studies"] == 10
    assert {"train/loss", "train/loss_of_mean", "seconds"} <= figures[1].keys()


@pytest.mark.parametrize("name", ["vision2d", "zformer"])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_stage_that_was_cut_ends_with_the_weights_of_an_uncut_one(
    tmp_path, root, made, monkeypatch, name, step
):
    job = replace(made[name], folder=tmp_path / name)
    if name == "zformer":
        job.part = {**job.part, "vectors": str(tmp_path / "vectors")}
    with monkeypatch.context() as patch:
        patch.setattr(PartTraining, "on_train_batch_start", cut_at(step))
        with pytest.raises(Cut):
            make_stage(job)
    assert not job.done and (job.folder / "training.ckpt").is_file()
    make_stage(job)
    once = weights(made[name])
    assert all((once[k] == v).all() for k, v in weights(job).items())
    assert not (job.folder / "training.ckpt").is_file()


# ---- slice vectors ---------------------------------------------------------------------------


def test_every_volume_is_encoded_once_whatever_the_number_of_stages(
    tmp_path, root, made, monkeypatch
):
    seen = []
    forward = SliceEncoder.forward
    counted = lambda self, slices, **k: (seen.append(len(slices)), forward(self, slices, **k))[1]  # noqa: E731
    monkeypatch.setattr(SliceEncoder, "forward", counted)
    stages = replace(STAGES, vision2d=None)
    parts = {"vision2d": {**ENCODER, "weights": str(made["vision2d"].folder)}}
    for layers in (1, 2):
        zformer = {**ZFORMER, "layers": layers}
        make_stage(jobs_of(tmp_path, root, stages, {**parts, "zformer": zformer})["zformer"])
    assert seen == [8] * 10


def test_a_cut_while_encoding_loses_no_vectors_that_were_made(tmp_path, made, monkeypatch):
    folder = tmp_path / "vectors"
    job = replace(made["zformer"], folder=tmp_path / "zformer")
    job.part = {**job.part, "vectors": str(folder)}
    make = SliceStore.make

    def few(self, *arguments) -> None:
        if len(list(folder.rglob("*.safetensors"))) == 4:
            raise Cut
        make(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SliceStore, "make", few)
        with pytest.raises(Cut):
            make_stage(job)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    make_stage(job)
    assert len(before) == 4
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    once = weights(made["zformer"])
    assert all((once[k] == v).all() for k, v in weights(job).items())


def test_all_series_of_a_case_are_a_study(tmp_path, root, made):
    parts = {"vision2d": {**ENCODER, "weights": str(made["vision2d"].folder)}, "zformer": ZFORMER}
    stages = replace(STAGES, vision2d=None)
    own, case = (
        jobs_of(tmp_path, root, stages, parts, series=s)["zformer"] for s in ("own", "case")
    )
    assert own.folder != case.folder and own.part["vectors"] == case.part["vectors"]
    make_stage(case)
    assert case.done


# ---- planned ---------------------------------------------------------------------------------


def test_the_z_former_waits_for_the_encoder_whose_vectors_it_reads(tmp_path, root):
    jobs = jobs_of(tmp_path, root)
    assert jobs["zformer"].needs == {str(jobs["vision2d"].folder)} and not jobs["vision2d"].needs
    assert jobs["zformer"].part["vision2d"]["weights"] == str(jobs["vision2d"].folder)
    other = jobs_of(tmp_path, root, replace(STAGES, vision2d=replace(DISTILLATION, max_steps=9)))
    assert jobs["zformer"].folder != other["zformer"].folder
    assert jobs["zformer"].part["vectors"] != other["zformer"].part["vectors"]


def test_an_encoder_that_was_trained_again_at_its_place_has_other_vectors(tmp_path, root):
    path = tmp_path / "encoder/model.safetensors"
    parts = {"vision2d": {**ENCODER, "weights": str(path.parent)}, "zformer": ZFORMER}
    jobs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        if not jobs or seed:
            save_tensors(SliceEncoderConfig(**ENCODER).build().state_dict(), path)
            os.utime(path, ns=(seed, seed))
        plan = jobs_of(tmp_path / "run", root, replace(STAGES, vision2d=None), parts)
        jobs.append(plan["zformer"])
    folders = [(job.folder, job.part["vectors"]) for job in jobs]
    assert folders[0] == folders[1] and not set(folders[1]) & set(folders[2])


def test_where_an_experiment_lies_does_not_name_its_stages(tmp_path, root):
    here, there = (jobs_of(tmp_path / name, root) for name in ("here", "there"))
    assert [j.folder.name for j in here.values()] == [j.folder.name for j in there.values()]


def test_a_z_former_before_an_untrained_encoder_is_refused(tmp_path, root):
    with pytest.raises(TomovoxError, match="add shared"):
        jobs_of(tmp_path, root, replace(STAGES, vision2d=None))


def test_an_encoder_with_a_name_is_tuned_by_itself_and_not_by_answers(tmp_path, root):
    parts = {"vision2d": {"kind": "vit", "name": "somewhere"}}
    assert set(jobs_of(tmp_path, root, parts=parts)) == {"vision2d"}
    assert not jobs_of(tmp_path, root, SharedStages(vision2d=VisionStage()), parts)


def test_the_method_chooses_the_stage_of_slice_encoders():
    by_itself = SharedStages(vision2d={"method": "self_distillation", "max_steps": 3})
    assert by_itself.vision2d == SelfDistillationStage("self_distillation", 3)
    for given in ({"max_steps": 3}, {"method": "supervised", "max_steps": 3}):
        assert SharedStages(vision2d=given).vision2d == VisionStage(3)


@pytest.mark.parametrize("wrong", [{"method": "magic"}, {"max_step": 3}, {"prototypes": 3}])
def test_a_setting_that_no_stage_has_is_refused(wrong):
    with pytest.raises(ValueError, match="vision2d"):
        SharedStages(vision2d=wrong)


def test_too_few_volumes_for_a_batch_are_told(tmp_path, root):
    stages = replace(STAGES, vision2d=replace(DISTILLATION, batch_size=99))
    with pytest.raises(TomovoxError, match=r"10 volumes are fewer than shared.vision2d.batch_size"):
        make_stage(jobs_of(tmp_path, root, stages)["vision2d"])
