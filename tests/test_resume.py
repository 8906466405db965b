"""Is a run that was killed, wherever, and called again, the run that it would have been?"""

import os
import random
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from faults import differing, experiment, finished, killed, start

MUST_DIE_AT = {
    *("before phantom", "before config.yaml", "before training.ckpt", "before stage.json"),
    *("before model.safetensors", "after model.safetensors", "before align.ckpt"),
    *("within lines of training.jsonl", "within lines of predictions.partial.jsonl"),
    *("after lines of predictions.partial.jsonl", "before predictions.partial.jsonl"),
    *("after predictions.jsonl", "before size.json", "before scores.jsonl", "after results.json"),
    *("before table.csv", "after table.csv"),
}
"""Write points of every part of a run: data, training, checkpoint, prediction, scores, table."""


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A tiny experiment, the folder that it made without a fault, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("uncut")
    path = experiment(folder)
    return path, folder / "run", finished(path, folder / "run")


def test_a_run_that_dies_once_at_every_write_ends_as_the_uncut_one(uncut, tmp_path):
    path, whole, _ = uncut
    points, output = tmp_path / "points", tmp_path / "run"
    process = start(path, output, points)
    process.join()
    while process.exitcode == -9:
        process = start(path, output, points)
        process.join()
    assert process.exitcode == 0, (output / "log").read_text(encoding="utf-8")[-500:]
    died_at = {point.split("-")[0] for point in points.read_text(encoding="utf-8").splitlines()}
    assert died_at >= MUST_DIE_AT
    assert differing(whole, output) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_a_random_moment_ends_as_the_uncut_one(uncut, tmp_path, seed):
    path, whole, seconds = uncut
    draws, output = random.Random(seed), tmp_path / "0"
    while killed(path, output, draws.uniform(0, seconds)) is None:  # it had ended before
        output = tmp_path / str(draws.random())
    finished(path, output)
    assert differing(whole, output) == []


def test_a_run_that_is_stopped_by_ctrl_c_says_how_to_go_on_and_does(uncut, tmp_path):
    path, whole, _ = uncut
    output = tmp_path / "run"
    process = start(path, output)
    log = output / "log"
    while not log.is_file() or "shared stage vision3d" not in log.read_text(encoding="utf-8"):
        process.join(0.01)
        assert process.is_alive()
    os.kill(process.pid, signal.SIGINT)  # the rows are still to be made
    process.join()
    assert process.exitcode == 130
    assert "stopped; the same command continues" in log.read_text(encoding="utf-8")
    finished(path, output)
    assert differing(whole, output) == []


def test_a_finished_run_has_nothing_left_over(uncut):
    left = [p.name for p in uncut[1].rglob("*") if p.name.endswith((".tmp", ".ckpt", "tial.jsonl"))]
    assert left == []
