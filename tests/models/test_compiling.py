"""Does a compiled training end where a plain one does, under the same names?"""

from pathlib import Path

import jaxtyping
import pytest
import torch
from lightning import LightningModule, Trainer

from tests.models.test_base import OneBatch, lamed
from tomovox.models.compiling import CompileParts
from tomovox.schema import TomovoxError


def trained(folder: Path, *callbacks: CompileParts) -> dict[str, torch.Tensor]:
    lamed(folder)  # its encoder's file is drawn now, and not between seed and model
    torch.manual_seed(0)
    model = lamed(folder)
    trainer = Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
        callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(model, datamodule=OneBatch())
    return model.state_dict()


def test_a_compiled_training_gives_the_weights_of_a_plain_one(tmp_path, monkeypatch):
    # What torch traced is run as it is: a code generator would round otherwise, and take minutes.
    # The checks of shapes that these tests put around every function cannot be traced.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    plain, compiled = trained(tmp_path), trained(tmp_path, CompileParts(backend="eager"))
    assert compiled.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, msg=name)


def test_the_compiler_is_asked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda part, **how: asked.append((part, how)))
    trained(tmp_path, CompileParts(backend="eager"))
    assert len(asked) == 2  # the encoder, and what the language model's tokens run through
    assert all(how == {"backend": "eager", "dynamic": None} for _, how in asked)


def test_a_model_without_such_parts_is_refused():
    with pytest.raises(TomovoxError, match="LightningModule is none; remove it"):
        CompileParts().on_fit_start(Trainer(logger=False), LightningModule())
