"""Is a run that was killed at any moment, and called again, the run that it would have been?

usage: python benchmarks/faults.py [--kills 25] [--seed 0] [--output benchmarks/results/faults.json]

A tiny `tomovox run` (phantom, shared stages, two models, a floor, a control; a checkpoint after
every step) is done once without a fault. Its time is cut into so many parts, and for each it is
begun in a new folder, ended by SIGKILL at a random moment of that part, called again, and its
folder compared with the first byte for byte: predictions, tables of scores, weights, all that holds
no clock time. MLflow must have taken everything.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml
from measured import commit

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = (
    *("tomovox.cli", "tomovox.experiment", "tomovox.control_cell", "tomovox.models.m3d_lamed"),
    *("tomovox.models.floors", "transformers.models.llama.modeling_llama", "torch._dynamo"),
    *("mlflow.client", "mlflow.store.tracking.sqlalchemy_store", "alembic.command"),
    *("mlflow.store.artifact.local_artifact_repo", "rich.table"),
)
"""What a process begins with, so that moments fall into the work and not into imports."""

SIZES = {"image": [8, 32, 32], "patch": [2, 8, 8], "width": 32, "layers": 1, "heads": 2, "mlp": 32}
LANGUAGE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
LANGUAGE |= {"num_key_value_heads": 2, "intermediate_size": 32}
TIMED = ("stage.json", "training.jsonl", "timing.jsonl", "compute.csv", "size.json", "lock", "log")
TIMED += (".md", ".html", ".tex", ".db", "mlflow.json")
"""How the names of files end that hold clock times, or ids that MLflow draws."""


def experiment(folder: Path, **changes: Any) -> Path:
    """Write a tiny experiment and return its file."""
    language = {"language": {"architecture": LANGUAGE}}
    bases = {name: str(ROOT / "baselines" / name / "tiny.yaml") for name in ("m3d_lamed", "blind")}
    sees = {"init_args": {**language, "vision3d": SIZES}}
    content: dict[str, Any] = {
        "data": {"phantom": {"cases": 6, "shape": [8, 32, 32], "test_cases": 1, "val_cases": 1}},
        "shared": {
            "language": {"fact_steps": 3, "max_steps": 3, "batch_size": 2},
            "vision3d": {"max_steps": 3, "batch_size": 2},
        },
        "fit": [{"stage": "align", "max_steps": 2}, {"stage": "instruct", "max_steps": 3}],
        "models": {
            "m3d_lamed": {"base": bases["m3d_lamed"], "model": sees},
            "blind": {"base": bases["blind"], "model": {"init_args": language}},
        },
        "controls": ["no_image"],
        "overrides": {
            "data": {"tasks": ["vqa_closed"], "batch_size": 2, "questions_per_study": 2},
            "model": {"init_args": {"max_new_tokens": 4}},
            "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
        },
        "threads": 1,
        "checkpoint_minutes": 0.0,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path


def start(path: Path, output: Path, kill_at: Path | None = None) -> BaseProcess:
    """Start `tomovox run` in a process forked off one that has everything imported."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    process = context.Process(target=_run, args=(path, output, kill_at))
    process.start()
    return process


def _run(path: Path, output: Path, kill_at: Path | None) -> None:
    from tomovox.cli import main
    from tomovox.moments import KILL_AT

    if kill_at is not None:
        os.environ[KILL_AT] = str(kill_at)
    output.mkdir(parents=True, exist_ok=True)
    log = (output / "log").open("a", encoding="utf-8", buffering=1)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    sys.exit(main(["run", str(path), "--output", str(output)]))


def last_words(output: Path) -> str:
    """Return the last line that the runs in a folder said, without its time."""
    log = output / "log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    said = [line for line in lines if line[2:3] == ":" == line[5:6]]
    return said[-1][9:] if said else ""


def differing(first: Path, second: Path) -> list[str]:
    """Return the files of two folders that are in one alone or not equal byte for byte."""
    both = [dict(_compared(folder)) for folder in (first, second)]
    names = sorted(both[0].keys() | both[1].keys())
    return [name for name in names if both[0].get(name) != both[1].get(name)]


def _compared(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.endswith(TIMED) and not name.startswith("mlartifacts/"):
            data = path.read_bytes()
            if path.suffix == ".safetensors":  # its head names where the folder lies
                data = data[8 + int.from_bytes(data[:8], "little") :]
            yield name, data


def killed(path: Path, output: Path, wait: float) -> dict[str, Any] | None:
    """Run, kill after `wait` seconds and return where that was; None when the run had ended."""
    process = start(path, output)
    begun = time.perf_counter()
    process.join(wait)
    seconds = time.perf_counter() - begun
    process.kill()
    process.join()
    if process.exitcode != -9:
        return None
    return {"seconds": round(seconds, 3), "after": last_words(output)}


def finished(path: Path, output: Path) -> float:
    """Run to the end and return the seconds; RuntimeError with the last words when it fails."""
    begun = time.perf_counter()
    process = start(path, output)
    process.join()
    if process.exitcode != 0:
        log = (output / "log").read_text(encoding="utf-8").splitlines()
        raise RuntimeError(f"{output}: exit code {process.exitcode}: {' / '.join(log[-3:])}")
    return time.perf_counter() - begun


def faults(scratch: Path, kills: int, seed: int) -> dict[str, Any]:
    """Return moments and outcomes of so many kills."""
    path, draws = experiment(scratch), random.Random(seed)
    finished(path, scratch / "warm")  # the first pays for what later ones find in caches
    usual = finished(path, scratch / "whole")
    found: list[dict[str, Any]] = []
    while len(found) < kills:
        output = scratch / f"{len(found)}-{draws.random()}"
        # One kill in every part of the run, so that its first seconds get theirs.
        moment = killed(path, output, (len(found) + draws.random()) / kills * usual)
        if moment is None:  # it was quicker than usual
            continue
        finished(path, output)
        kept = json.loads((output / "mlflow.json").read_text(encoding="utf-8"))
        unlogged = ["mlflow.json: not all is logged"] if kept["pending"] else []
        found.append(moment | {"differing": differing(scratch / "whole", output) + unlogged})
        print(json.dumps(found[-1]))
    return {"seconds_uncut": round(usual, 3), "kills": found}


def main() -> None:
    """Write the outcome; exit code 1 when any folder differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/faults.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = faults(Path(scratch), given.kills, given.seed)
    equal = sum(not kill["differing"] for kill in outcome["kills"])
    head = {"commit": commit(), "seed": given.seed, "equal": equal}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(head | outcome, indent=1) + "\n", encoding="utf-8")
    print(f"{equal} of {len(outcome['kills'])} killed runs ended as the uncut one")
    sys.exit(equal < given.kills)


if __name__ == "__main__":
    main()
