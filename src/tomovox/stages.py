"""How are the shared stages trained? Language models on text, encoders on answers and findings."""

import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from tomovox.configuration import Config, instantiate, merged
from tomovox.data.datamodule import TASKS
from tomovox.data.records import read_records
from tomovox.data.supervision import FindingMasks, VisionDataset, answer_heads, finding_masks
from tomovox.models.pretraining import UNKNOWN, VisionBatch, VisionPretraining
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import untied_state
from tomovox.progress import PLAIN_TRAINER, fit, say
from tomovox.schema import Task, TomovoxError, write_atomically
from tomovox.stage_plan import LATER, LanguageStage, StageJob, VisionStage

FACT_LAYOUT = "<image>{fact}. {question} Answer:"


def make_stage(job: StageJob) -> None:
    """Train one shared stage and write its weights and stage.json (last losses, seconds)."""
    start = time.perf_counter()
    say(f"shared stage {job.name}: {job.stage.max_steps} steps")
    if isinstance(job.stage, LanguageStage):
        part, figures = _language(job, job.stage)
    else:
        part, figures = _vision(job, job.stage)
    figures["seconds"] = round(time.perf_counter() - start, 1)
    job.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(job.folder / "stage.json", json.dumps(figures, indent=1) + "\n")
    save_stage(part, job.folder)
    say(f"shared stage {job.name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))


def _language(job: StageJob, stage: LanguageStage) -> tuple[torch.nn.Module, dict[str, float]]:
    """Train on single facts first, then on whole reports; both stand where the image will."""
    language = {k: v for k, v in job.config["model"]["init_args"]["language"].items()}
    language.pop("train", None)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for layout, steps, tasks in (
            (FACT_LAYOUT, stage.fact_steps, ["vqa_closed", "vqa_open"]),
            (stage.layout, stage.max_steps, job.config["data"].get("tasks")),
        ):
            if steps == 0:
                continue
            data = merged(
                job.config["data"],
                {
                    "template": {"init_args": {"layout": layout}},
                    "batch_size": stage.batch_size,
                    "questions_per_study": stage.questions_per_study,
                    "shuffle_choices": True,
                },
                {"tasks": tasks} if tasks else {},
            )
            data["mix"] = {
                k: v for k, v in (data.get("mix") or {}).items() if k in (tasks or TASKS)
            }
            optimizer = {"lr": stage.lr, "weight_decay": 0.01, "betas": [0.9, 0.98]}
            optimizer |= {"warmup": 0.1, "floor": 0.1}
            model = {
                "class_path": "tomovox.models.floors.BlindLM",
                "init_args": {"language": language, "optimizer": optimizer},
            }
            config = {"seed_everything": job.seed, "model": model, "data": data}
            cli = instantiate(
                config | {"trainer": trainer_arguments(steps, job.quiet)}, "shared stage language"
            )
            figures |= fit(cli.trainer, cli.model, "language", job.quiet, datamodule=cli.datamodule)
            save_stage(cli.model.language, Path(scratch))
            language = {**language, "weights": scratch}
        return cli.model.language, figures


def _vision(job: StageJob, stage: VisionStage) -> tuple[torch.nn.Module, dict[str, float]]:
    arguments = dict(job.config["model"]["init_args"][job.name])
    for later in LATER:  # rows that read the encoder at different places share it
        arguments.pop(later, None)
    made_by = ViT3DConfig if job.name == "vision3d" else SliceEncoderConfig
    try:
        encoder = made_by(**_tuples(arguments))
    except TypeError as error:
        raise TomovoxError(f"model.init_args.{job.name}: {error}") from None
    seed_everything(job.seed, verbose=False)
    data = job.config["data"]
    root = Path(data["root"])
    records = read_records(root, Task.VQA_CLOSED, data.get("train_split", "train"))
    heads = answer_heads(records)
    masks = finding_masks(root, job.finding_classes) if stage.boxes else FindingMasks([], {})
    classes = len(masks.classes) + 1 if masks.classes else 0
    module = VisionPretraining(encoder, heads.sizes, classes, lr=stage.lr)
    loader: DataLoader[Any] = DataLoader(
        VisionDataset(root, records, heads, masks),  # type: ignore[arg-type]
        batch_size=stage.batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=collate_vision,
        generator=torch.Generator().manual_seed(job.seed),
    )
    trainer = Trainer(**trainer_arguments(stage.max_steps, job.quiet))
    figures = fit(trainer, module, job.name, job.quiet, train_dataloaders=loader)
    return module.encoder, figures


def trainer_arguments(steps: int, quiet: bool) -> Config:
    """Return the arguments of a trainer of a shared stage."""
    return {
        "max_steps": steps,
        "max_epochs": -1,
        "accelerator": "auto",
        "devices": 1,
        "gradient_clip_val": 1.0,
        **PLAIN_TRAINER,
        "enable_progress_bar": not quiet,
    }


def save_stage(module: torch.nn.Module, folder: Path) -> None:
    """Write a part's weights as model.safetensors, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".model.tmp"
    save_file({k: v.contiguous() for k, v in untied_state(module).items()}, temporary)
    temporary.replace(folder / "model.safetensors")


def collate_vision(items: Iterable[tuple[Any, Any, Any]]) -> VisionBatch:
    """Stack volumes, answers and finding labels; a volume without mask is all UNKNOWN."""
    rows = list(items)
    findings = [
        torch.full(voxels.shape[1:], UNKNOWN, dtype=torch.uint8)
        if labels is None
        else torch.from_numpy(labels)
        for voxels, _, labels in rows
    ]
    return VisionBatch(
        torch.stack([torch.from_numpy(voxels) for voxels, _, _ in rows]),
        torch.stack([torch.from_numpy(answers) for _, answers, _ in rows]),
        torch.stack(findings),
    )


def _tuples(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
