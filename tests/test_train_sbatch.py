"""The file that trains one model on several nodes says what sbatch and `tomovox fit` take."""

import os
import subprocess
from pathlib import Path

import pytest
from loopback_slurm import loopback_slurm

from tomovox.configuration import cli_arguments
from tomovox.lightning_verbs import RunCLI

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "experiments" / "slurm" / "train.sbatch"


@pytest.mark.needs_slurm
def test_sbatch_takes_its_options(tmp_path):
    smaller = ["--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=0"]
    command = ["sbatch", "--test-only", *smaller, str(TRAIN), "--config", "any.yaml"]
    with loopback_slurm(tmp_path):
        told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_fit_takes_the_arguments_it_gives(tmp_path, monkeypatch):
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for key, value in {"CPUS_PER_TASK": 1, "JOB_NUM_NODES": 2, "NTASKS_PER_NODE": 4}.items():
        monkeypatch.setenv(f"SLURM_{key}", str(value))
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    recipe = str(ROOT / "baselines" / "m3d_lamed" / "published.yaml")
    command = ["bash", str(TRAIN), "--config", recipe, "--data.root", "M3D-Data"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    program, *arguments = told.stdout.splitlines()
    assert program == "tomovox"
    with pytest.raises(SystemExit) as end:
        RunCLI(**cli_arguments(False), args=[*arguments, "--print_config"])
    assert end.value.code == 0
