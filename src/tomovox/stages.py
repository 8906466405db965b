"""How are the shared stages trained? Language models on text, encoders on what a volume shows."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything

from tomovox.configuration import Config, instantiate, merged
from tomovox.data.asked import ASKED_BY_DEFAULT, FROM_MASKS, REPORTS
from tomovox.data.ct_rate_records import abnormalities
from tomovox.data.dataset import group_by_study
from tomovox.data.mask_supervision import MaskDataset, MaskItem
from tomovox.data.records import read_records
from tomovox.data.root_layout import CT_RATE, layout_of
from tomovox.data.sampling import StudySampler
from tomovox.data.supervision import (
    FindingMasks,
    Heads,
    LabelHeads,
    VisionDataset,
    answer_heads,
    finding_masks,
)
from tomovox.data.training_loader import TrainingLoader
from tomovox.files import write_atomically
from tomovox.left_out import write_left_out
from tomovox.models.mask_pretraining import MaskBatch, MaskPretraining
from tomovox.models.pretraining import UNKNOWN, VisionBatch, VisionPretraining
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import WEIGHTS_FILE, save_tensors, untied_state
from tomovox.parsed import read_object
from tomovox.progress import say
from tomovox.schema import Task, TomovoxError
from tomovox.stage_fit import (
    EARLIER,
    TRAINING,
    check_size,
    fit_stage,
    part_config,
    trainer_arguments,
)
from tomovox.stage_kinds import (
    LanguageStage,
    MaskedEmbeddingStage,
    MaskStage,
    SelfDistillationStage,
    VisionStage,
)
from tomovox.stage_plan import StageJob
from tomovox.training import Checkpoints, fit, forget_cuts
from tomovox.unlabelled_stages import masked_embeddings, self_distilled

FACT_LAYOUT = "<image>{fact}. {question} Answer:"

FIGURES = "stage.json"
"""File of a stage's folder: what came of its training."""

LABELLED = "labels"
"""Among the figures of an encoder: how many labels of reports it learned, in place of answers."""


def make_stage(job: StageJob) -> None:
    """Train one shared stage and write its weights and stage.json (last losses, seconds)."""
    if job.done:  # by a task that a cluster had put back into its queue
        return
    start = time.perf_counter()
    say(f"shared stage {job.name}: {job.stage.max_steps} steps")
    if isinstance(job.stage, LanguageStage):
        part, figures = _language(job, job.stage)
    elif isinstance(job.stage, MaskStage):
        part, figures = _mask_head(job, job.stage)
    elif isinstance(job.stage, SelfDistillationStage):
        distilled, figures = self_distilled(job, job.stage)
        part = distilled.part
    elif isinstance(job.stage, MaskedEmbeddingStage):
        masked, figures = masked_embeddings(job, job.stage)
        part = masked.part
    else:
        part, figures = _vision(job, job.stage)
    seconds = time.perf_counter() - start + figures.pop(EARLIER, 0.0)
    figures["seconds"] = round(seconds, 1)
    write_atomically(job.folder / FIGURES, json.dumps(figures, indent=1) + "\n")
    save_stage(part, job.folder)
    forget_cuts(job.folder)
    say(f"shared stage {job.name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))


def taught(stage: Path) -> str:
    """Return what a shared stage learned from images of training cases; "" for text alone."""
    figures = read_object(stage / FIGURES, "remove the folder and run again")
    if "mask_volumes" in figures:
        return "mask head pretrained on training cases, masks of all classes"
    if "unlabelled_volumes" in figures:
        return "slice encoder self-distilled on slices of training cases, no labels"
    if "masked_studies" in figures:
        return "Z-former taught to tell hidden slices of training cases, no labels"
    if "finding_masks" not in figures:
        return ""
    boxes = figures["finding_masks"]
    saw = "answers and the places of findings (boxes)" if boxes else "answers, no boxes"
    if LABELLED in figures:
        saw = "labels that reports were given, no boxes"
    return f"encoders pretrained on training cases, {saw}"


def _language(job: StageJob, stage: LanguageStage) -> tuple[torch.nn.Module, dict[str, float]]:
    """Train on single facts first, then on whole reports; both stand where the image will."""
    tasks = job.data.get("tasks") or list(ASKED_BY_DEFAULT)
    facts = [task for task in tasks if task not in REPORTS]
    told = [task for task in tasks if task not in FROM_MASKS]  # no words say where things lie
    phases = [
        (FACT_LAYOUT, stage.fact_steps if facts else 0, facts),
        (stage.layout, stage.max_steps if told else 0, told),
    ]
    phases = [phase for phase in phases if phase[1]]
    part, earlier = job.part, 0.0
    for layout, steps, asked in phases:
        folder = job.folder if layout == phases[-1][0] else job.folder / "facts.ckpt"
        if (folder / WEIGHTS_FILE).is_file():  # facts, of a run that was cut in the reports
            earlier = json.loads((folder / FIGURES).read_text(encoding="utf-8"))["seconds"]
        else:
            cli = instantiate(_text_only(job, stage, part, layout, steps, asked), "language")
            kept = Checkpoints(folder / TRAINING, job.checkpoint_minutes)
            data = {"datamodule": cli.datamodule}
            figures = fit(cli.trainer, cli.model, "language", job.quiet, kept, **data)
            if folder != job.folder:
                write_atomically(folder / FIGURES, json.dumps({"seconds": kept.seconds}))
                save_stage(cli.model.language, folder)
        part = {**job.part, "weights": str(folder)}
    return cli.model.language, figures | {EARLIER: earlier + kept.earlier}


def _text_only(
    job: StageJob, stage: LanguageStage, part: Config, layout: str, steps: int, tasks: list[str]
) -> Config:
    """Return the config of BlindLM on prompts that hold what the image shows, in words."""
    data = merged(
        job.data,
        {
            "template": {"init_args": {"layout": layout, "text_only": True}},
            "tasks": tasks,
            "batch_size": stage.batch_size,
            "questions_per_study": stage.questions_per_study,
            "shuffle_choices": True,
        },
    )
    data["mix"] = {k: v for k, v in (data.get("mix") or {}).items() if k in tasks}
    optimizer = {"lr": stage.lr, "weight_decay": 0.01, "betas": [0.9, 0.98]}
    optimizer |= {"warmup": 0.1, "floor": 0.1}
    return {
        "seed_everything": job.seed,
        "model": {
            "class_path": "tomovox.models.floors.BlindLM",
            "init_args": {"language": part, "optimizer": optimizer},
        },
        "data": data,
        "trainer": trainer_arguments(steps, job.quiet),
    }


def _vision(job: StageJob, stage: VisionStage) -> tuple[torch.nn.Module, dict[str, float]]:
    encoder: ViT3DConfig | SliceEncoderConfig = (
        part_config(ViT3DConfig, job.part, job.name)
        if job.name == "vision3d"
        else part_config(SliceEncoderConfig, job.part, job.name)
    )
    seed_everything(job.seed, verbose=False)
    root = Path(job.data["root"])
    records = read_records(root, Task.VQA_CLOSED, job.data.get("train_split", "train"))
    studies = group_by_study(records)[: job.data.get("limit")]
    records = [record for study in studies for record in study]
    labelled = layout_of(root) == CT_RATE
    heads: Heads = LabelHeads(abnormalities(root, records)) if labelled else answer_heads(records)
    masks = finding_masks(root, job.finding_classes) if stage.boxes else FindingMasks([], {})
    on_bad_volume = job.data.get("on_bad_volume", "raise")
    dataset = VisionDataset(root, records, heads, masks, on_bad_volume)
    left_out = [("train", *record) for record in dataset.left_out]
    write_left_out(job.folder, left_out, ["train"])
    check_size(len(dataset), "volumes with closed questions", job)
    classes = len(masks.classes) + 1 if masks.classes else 0
    module = VisionPretraining(encoder, heads.sizes, classes, lr=stage.lr)
    loader = TrainingLoader(
        dataset,
        batch_size=stage.batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=collate_vision,
        generator=torch.Generator().manual_seed(job.seed),
    )
    figures = fit_stage(job, module, loader)
    figures |= {"finding_masks": len(masks.masks), "left_out": len(left_out)}
    figures |= {LABELLED: len(heads.sizes)} if labelled else {}
    return module.encoder, figures


def _mask_head(job: StageJob, stage: MaskStage) -> tuple[torch.nn.Module, dict[str, float]]:
    part = dict(job.part)
    encoder = part_config(ViT3DConfig, part.pop("vision3d", {}), f"{job.name}.vision3d")
    config = part_config(SegVolConfig, {"vision3d": encoder, **part}, job.name)
    seed_everything(job.seed, verbose=False)
    split, limit = job.data.get("train_split", "train"), job.data.get("limit")
    dataset = MaskDataset(Path(job.data["root"]), split, stage.masks_per_volume, limit)
    check_size(len(dataset), "volumes with masks", job)
    module = MaskPretraining(config, len(dataset.classes), lr=stage.lr)
    loader = TrainingLoader(
        dataset,
        StudySampler(len(dataset), job.seed),
        batch_size=stage.batch_size,
        drop_last=True,
        collate_fn=collate_masks,
    )
    figures = fit_stage(job, module, loader)
    return module.mask_head, figures | {"mask_volumes": len(dataset)}


def save_stage(module: torch.nn.Module, folder: Path) -> None:
    """Write a part's weights as model.safetensors, whole or not at all."""
    save_tensors(untied_state(module), folder / WEIGHTS_FILE)


def collate_vision(items: Iterable[tuple[Any, Any, Any, str]]) -> VisionBatch:
    """Stack volumes, answers and finding labels; a volume without mask is all UNKNOWN.

    Raises TomovoxError naming both sizes and their records when two volumes differ.
    """
    rows = list(items)
    size, first = rows[0][0].shape[1:], rows[0][3]
    for voxels, _, _, record in rows:
        if voxels.shape[1:] != size:
            raise TomovoxError(
                f"a batch mixes volumes of {size} (record {first}) and {voxels.shape[1:]} (record "
                f"{record}): prepare the data to one size (tomovox data prepare), or give "
                f"shared.vision2d method: self_distillation, which reads any number of slices"
            )
    findings = [
        torch.full(voxels.shape[1:], UNKNOWN, dtype=torch.uint8)
        if labels is None
        else torch.from_numpy(labels)
        for voxels, _, labels, _ in rows
    ]
    return VisionBatch(
        torch.stack([torch.from_numpy(voxels) for voxels, *_ in rows]),
        torch.stack([torch.from_numpy(answers) for _, answers, *_ in rows]),
        torch.stack(findings),
    )


def collate_masks(items: Iterable[MaskItem]) -> MaskBatch:
    """Stack volumes and their masks, each with the row of its volume."""
    rows = list(items)
    return MaskBatch(
        torch.stack([torch.from_numpy(voxels) for voxels, _, _ in rows]),
        torch.tensor([row for row, (_, classes, _) in enumerate(rows) for _ in classes]),
        torch.tensor([k for _, classes, _ in rows for k in classes]),
        torch.stack([torch.from_numpy(mask) for _, _, masks in rows for mask in masks]),
    )
