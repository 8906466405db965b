"""Does a training that was cut end with the weights of an uncut one, and know what it cost?"""

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from torch.utils.data import Dataset

from tomovox.data.sampling import StudySampler
from tomovox.data.training_loader import TrainingLoader
from tomovox.progress import PLAIN_TRAINER
from tomovox.training import Checkpoints, fit, forget_cuts

STEPS, STUDIES = 11, 7
"""Of 2 studies each: 3 steps an epoch, the last study left out."""


class Draws(Dataset):
    """A study is a row and the seed of its draws; `read` lists the rows that were read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return STUDIES

    def __getitem__(self, key):
        row, seed = key if isinstance(key, tuple) else (key, 0)
        self.read.append(row)
        return torch.tensor([row / STUDIES, seed % 1000 / 1000])


class Net(LightningModule):
    """Draws from every kind of random numbers in each step."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)
        )

    def training_step(self, batch, batch_idx):
        noise = random.random() + np.random.rand()
        loss = (self.net(batch) - noise).square().mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Cut(Exception):
    """What ends a training in the middle."""


class CutAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise Cut


def trained(path: Path, cut=None, order=True, workers=0, minutes=0.0, **changes):
    """Train to the end, or to a cut; return the weights, the figures and the rows read."""
    seed_everything(3, verbose=False)
    data, module = Draws(), Net()
    options = {"batch_size": 2, "drop_last": True, "num_workers": workers}
    options |= {"persistent_workers": workers > 0}
    if order:
        loader = TrainingLoader(data, StudySampler(STUDIES, 3), **options)
    else:
        generator = torch.Generator().manual_seed(3)
        loader = TrainingLoader(data, shuffle=True, generator=generator, **options)
    plain = {**PLAIN_TRAINER, "enable_progress_bar": False}
    trainer = Trainer(
        **{"max_steps": STEPS, "max_epochs": -1, "accelerator": "cpu", **plain, **changes},
        callbacks=[] if cut is None else [CutAt(cut)],
    )
    kept = Checkpoints(path, minutes)
    if cut is not None:
        with pytest.raises(Cut):
            fit(trainer, module, "net", False, kept, train_dataloaders=loader)
        return None, None, data.read
    figures = fit(trainer, module, "net", False, kept, train_dataloaders=loader)
    return module.state_dict(), figures, data.read


def same(first, second):
    return all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module", params=[True, False], ids=["study order", "generator"])
def whole(request, tmp_path_factory):
    """Weights and figures of an uncut training, and its kind of order."""
    path = tmp_path_factory.mktemp("whole") / "a.ckpt"
    weights, figures, _ = trained(path, order=request.param, minutes=1e9)
    assert not path.exists()
    return weights, figures, request.param


@pytest.mark.parametrize("cut", range(STEPS))
def test_a_training_cut_before_any_step_ends_with_the_same_weights(whole, cut, tmp_path):
    weights, figures, order = whole
    trained(tmp_path / "a.ckpt", cut, order)
    again, figures_again, _ = trained(tmp_path / "a.ckpt", order=order)
    assert same(weights, again) and figures == figures_again


def test_a_training_cut_at_every_step_ends_with_the_same_weights(whole, tmp_path):
    weights, _, order = whole
    for cut in range(1, STEPS):
        trained(tmp_path / "a.ckpt", cut, order)
    assert same(weights, trained(tmp_path / "a.ckpt", order=order)[0])


def test_what_was_trained_on_before_the_cut_is_not_read_again(tmp_path):
    rows = trained(tmp_path / "whole.ckpt")[2]
    first, rest = trained(tmp_path / "a.ckpt", 5)[2], trained(tmp_path / "a.ckpt")[2]
    assert first == rows[: len(first)] and rest == rows[-len(rest) :]
    assert len(first) + len(rest) <= len(rows) + 2 * 2


@pytest.mark.parametrize("changes", [{"accumulate_grad_batches": 2}, {"workers": 1}])
def test_neither_gathered_gradients_nor_workers_change_what_comes_out(tmp_path, changes):
    weights = trained(tmp_path / "whole.ckpt", minutes=1e9, **changes)[0]
    trained(tmp_path / "a.ckpt", 5, **changes)
    assert same(weights, trained(tmp_path / "a.ckpt", **changes)[0])


class FolderIO(TorchCheckpointIO):
    """Writes a checkpoint as the strategies do whose devices each write their share: a folder."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        Path(path).mkdir()
        super().save_checkpoint(checkpoint, Path(path) / "meta.pt", storage_options)

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        return super().load_checkpoint(Path(path) / "meta.pt", map_location, weights_only)


def test_a_checkpoint_that_is_a_folder_continues_and_leaves_nothing(tmp_path):
    weights = trained(tmp_path / "whole.ckpt", minutes=1e9)[0]
    for cut in (3, 5):
        trained(tmp_path / "a.ckpt", cut, plugins=[FolderIO()])
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"] and (tmp_path / "a.ckpt").is_dir()
    rest = trained(tmp_path / "a.ckpt", plugins=[FolderIO()])
    assert same(weights, rest[0]) and len(rest[2]) < 2 * STEPS
    forget_cuts(tmp_path)
    assert not list(tmp_path.iterdir())


def test_seconds_of_before_the_cut_are_counted(tmp_path):
    kept = Checkpoints(tmp_path / "a.ckpt", 0)
    kept.load_state_dict({"seconds": 1000.0})
    assert 1000 <= kept.seconds < 1060
    assert kept.state_dict()["seconds"] >= 1000


def test_a_checkpoint_waits_for_its_time(tmp_path):
    trained(tmp_path / "a.ckpt", 5, minutes=1e9)
    assert not (tmp_path / "a.ckpt").exists()


def test_what_cut_trainings_left_is_forgotten(tmp_path):
    (tmp_path / "facts.ckpt").mkdir()
    for name in ("facts.ckpt/model.safetensors", "align.ckpt", "model.safetensors"):
        (tmp_path / name).write_text("")
    forget_cuts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_ctrl_c_in_a_training_is_an_interrupt_and_no_silent_exit(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Net, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "a.ckpt")
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores it from there on
