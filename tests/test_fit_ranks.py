"""Does `tomovox fit` on two devices that share every weight leave a RUN as one device does?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_cli import RECIPE, SIZE, write_yaml

from tomovox.cell import load_run
from tomovox.data.phantom import write_phantom

FSDP2 = Path(__file__).parents[1] / "baselines" / "fsdp2.yaml"
TRAINER = {
    **{"max_steps": 2, "gradient_clip_val": 1.0},
    **{"logger": False, "enable_progress_bar": False, "limit_val_batches": 1},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    """A folder with the RUN that two processes fitted, and what they said."""
    folder = tmp_path_factory.mktemp("fsdp2")
    write_phantom(folder / "data", cases=12, seed=0, shape=SIZE, difficulty="easy", val_cases=2)
    config = write_yaml(folder / "tiny.yaml", RECIPE, {"trainer": TRAINER})
    given = ["--config", config, "--config", str(FSDP2), "--data.root", "data"]
    given += ["--trainer.default_root_dir", "run"]
    own = ("SLURM_", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    environment |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, "-m", "tomovox.cli", "fit", *given],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_two_devices_that_share_weights_leave_a_run_that_loads(fitted):
    model, _ = load_run(fitted / "run")
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_the_way_on_is_said_once(fitted):
    assert (fitted / "said.txt").read_text(encoding="utf-8").count("predict with tomovox") == 1


def test_the_checkpoint_of_lightning_holds_the_weights_of_the_run(fitted):
    (path,) = (fitted / "run").rglob("*.ckpt")
    state = torch.load(path, weights_only=True)["state_dict"]
    own = load_run(fitted / "run")[0].state_dict()
    assert state.keys() <= own.keys()
    assert all(torch.equal(own[key], value) for key, value in state.items())
