"""Do the two stages without labels learn anything? On a phantom, against what needs no training.

usage: python benchmarks/without_labels.py [--cases 520] [--distil 400] [--mask 800] [--span 1]
       [--seed 0] [--folder runs/without_labels]
       [--output benchmarks/results/without_labels.json]

Makes the shared stages vision2d (self_distillation) and zformer of an experiment with the tiny
MS-VLM. Then, on test cases: how well plane and phase of a volume are told from the mean of its
slice vectors, by its 10 nearest training volumes and by a linear probe, with the encoder's first
random weights and with those it taught itself; and how far the vectors of hidden slices are off
(L1), against three guesses that need no training. Intervals of 95 %: bootstrap over cases.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning import seed_everything
from measured import commit
from torch import Tensor

from tomovox.configuration import read_yaml
from tomovox.data.evidence import plane_and_phase
from tomovox.data.experiment_data import DataSource, PhantomData
from tomovox.data.records import case_of
from tomovox.data.study_series import studies_to_read
from tomovox.data.volumes import read_volume
from tomovox.models.masked_embedding import MaskedEmbedding, hidden_slices
from tomovox.models.slice_reading import percept_of
from tomovox.models.slices import SliceEncoder, SliceEncoderConfig
from tomovox.schema import Studies
from tomovox.stage_kinds import MaskedEmbeddingStage, SelfDistillationStage, SharedStages
from tomovox.stage_plan import StageJob, StagePlan
from tomovox.stages import make_stage
from tomovox.statistics.bootstrap import draws, interval
from tomovox.unlabelled_stages import masked_embeddings

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS, RIDGE = 10, 1.0
Labelled = tuple[list[Tensor], list[str], dict[str, list[str]]]
"""Of each volume its slice vectors and its case; of all, the names of plane and phase."""


def encoded(encoder: SliceEncoder, root: Path, split: str) -> Labelled:
    """Return the slice vectors of every volume of a split, with case and labels."""
    names = [record.volumes[0] for record in studies_to_read(root, split, "own")]
    with torch.no_grad():
        vectors = [
            encoder.eval()(torch.from_numpy(read_volume(root, name, name))[0][:, None])[0]
            for name in names
        ]
    told = [plane_and_phase(name) for name in names]
    labels = {"plane": [plane for plane, _ in told], "phase": [phase for _, phase in told]}
    return vectors, [case_of(name) for name in names], labels


def right(train: Labelled, test: Labelled, kind: str, how: str) -> np.ndarray:
    """Return for each test volume whether its label is told."""
    classes = sorted(set(train[2][kind]))
    target = F.one_hot(torch.tensor([classes.index(c) for c in train[2][kind]])).double()
    known, asked = (torch.stack([v.mean(0) for v in each[0]]).double() for each in (train, test))
    mean, deviation = known.mean(0), known.std(0) + 1e-9
    known, asked = (known - mean) / deviation, (asked - mean) / deviation
    if how == "neighbours":
        near = F.normalize(asked, dim=-1) @ F.normalize(known, dim=-1).T
        votes = target[near.topk(NEIGHBOURS).indices].sum(1)
    else:
        square = known.T @ known + RIDGE * torch.eye(known.shape[1], dtype=torch.double)
        votes = asked @ torch.linalg.solve(square, known.T @ (target - target.mean(0)))
        votes = votes + target.mean(0)
    told = [classes[i] for i in votes.argmax(-1).tolist()]
    return np.array([a == b for a, b in zip(told, test[2][kind], strict=True)], float)


def over_cases(values: np.ndarray, cases: list[str]) -> tuple[float, float, float]:
    """Return the mean of values and its interval."""
    order = sorted(set(cases))
    row = np.array([order.index(case) for case in cases])
    sums, counts = np.bincount(row, values), np.bincount(row)
    drawn = draws(len(order), 2000, 0)
    low, high = interval((drawn @ sums) / (drawn @ counts))
    return tuple(round(float(x), 4) for x in (values.mean(), low, high))


def seen(job: StageJob, root: Path) -> dict[str, Any]:
    """Return how well plane and phase are told with the first weights and with those taught."""
    found: dict[str, Any] = {}
    seed_everything(job.seed, verbose=False)
    encoders = {
        "random": SliceEncoderConfig(**job.part).build(),
        "taught": SliceEncoderConfig(**job.part, weights=str(job.folder)).build(),
    }
    sets = {k: [encoded(e, root, s) for s in ("train", "test")] for k, e in encoders.items()}
    for kind in ("plane", "phase"):
        for how in ("neighbours", "probe"):
            told = {name: right(*both, kind, how) for name, both in sets.items()}
            cases = sets["taught"][1][1]
            row = {name: round(float(values.mean()), 4) for name, values in told.items()}
            row["gain"] = over_cases(told["taught"] - told["random"], cases)
            found[f"{kind} by {how}"] = row
    return found


def between_neighbours(cls: Tensor, shown: Tensor) -> Tensor:
    """Return for every slice of one study the shown slices around it, mixed by their distance."""
    places = shown.nonzero()[:, 0].numpy()
    flat = [np.interp(np.arange(len(cls)), places, column[places]) for column in cls.numpy().T]
    return torch.from_numpy(np.stack(flat, 1)).to(cls)


def guessed(module: MaskedEmbedding, root: Path) -> dict[str, Any]:
    """Return how far the vectors of hidden test slices are off, by guess, and what is won."""
    module = module.cpu().eval()
    train = torch.cat(encoded(module.vision2d, root, "train")[0]).mean(0)
    vectors, cases, _ = encoded(module.vision2d, root, "test")
    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mean of training slices": lambda cls, _: train.expand_as(cls),
        "mean of shown slices": lambda cls, shown: cls[shown].mean(0).expand_as(cls),
        "shown neighbours": between_neighbours,
    }
    off: dict[str, list[float]] = {name: [] for name in ("Z-former", *ways)}
    masking = module.masking
    for number, cls in enumerate(vectors):
        studies = Studies([torch.empty(1, len(cls), 0, 0)], torch.zeros(1, dtype=torch.long))
        features = percept_of([cls], studies, module.zformer_config).features
        draws_of = torch.Generator().manual_seed(number)
        hidden = hidden_slices(features["seen"], masking.share, masking.span, draws_of)
        with torch.no_grad():
            guesses = {"Z-former": module.guesses(features, hidden)[0]}
        guesses |= {name: way(cls, ~hidden[0]) for name, way in ways.items()}
        for name, guess in guesses.items():
            off[name].append(float((guess - cls)[hidden[0]].abs().mean()))
    found: dict[str, Any] = {name: round(float(np.mean(values)), 5) for name, values in off.items()}
    for name in ways:
        won = 1 - np.array(off["Z-former"]) / np.array(off[name])
        found[f"less than {name}"] = over_cases(won, cases)
    return found


def jobs(folder: Path, given: argparse.Namespace) -> tuple[dict[str, StageJob], Path]:
    """Return the jobs of the two stages of the tiny MS-VLM, and the data root."""
    stages = SharedStages(
        vision2d=SelfDistillationStage("self_distillation", max_steps=given.distil),
        zformer=MaskedEmbeddingStage(max_steps=given.mask, span=given.span),
    )
    phantom = PhantomData(given.cases, 7, difficulty="easy", test_cases=100, val_cases=20)
    plan = StagePlan(folder / "shared", DataSource(phantom=phantom), stages, given.seed)
    root = plan.data_root(2)
    _, found = plan.resolve(read_yaml(ROOT / "baselines" / "ms_vlm" / "tiny.yaml"), root)
    return {job.name: replace(job, quiet=True) for job in found}, root


def main() -> None:
    """Make the stages, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=520)
    parser.add_argument("--distil", type=int, default=400)
    parser.add_argument("--mask", type=int, default=800)
    parser.add_argument("--span", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/without_labels"))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    todo, root = jobs(given.folder.resolve(), given)
    make_stage(todo["vision2d"])
    found: dict[str, Any] = {
        "commit": commit(),
        **{k: getattr(given, k) for k in ("cases", "distil", "mask", "span", "seed")},
        "seen": seen(todo["vision2d"], root),
    }
    stage = todo["zformer"].stage
    assert isinstance(stage, MaskedEmbeddingStage)
    found["guessed"] = guessed(masked_embeddings(todo["zformer"], stage)[0], root)
    text = json.dumps(found, indent=1)
    print(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
