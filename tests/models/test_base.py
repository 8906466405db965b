"""Training through Lightning: the schedule, small checkpoints, and resuming."""

from pathlib import Path

import pytest
import torch
from lightning import LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import save_file
from tiny_models import VOCABULARY, batch_of, language, make, vision3d, volumes
from torch.utils.data import DataLoader

from tomovox.data.dataset import move_batch
from tomovox.models.base import VolumeLM, cosine_with_warmup, count_parameters
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.vit3d import ViT3D
from tomovox.schema import Batch, TomovoxError


class OneBatch(LightningDataModule):
    """The same two questions, step after step."""

    def train_dataloader(self) -> DataLoader:
        rows, answers = [[5, 6], [7, 8, 9]], [[20, 1], [21, 22, 1]]
        batch = batch_of(list(volumes(2)), [0, 1], rows, answers, [0, 1])
        return DataLoader([batch] * 8, batch_size=None, collate_fn=None)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, index: int) -> Batch:
        return move_batch(batch, device)


def trainer(folder: Path, steps: int) -> Trainer:
    every_second = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    return Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
        callbacks=[every_second],
    )  # fmt: skip


def lamed(folder: Path) -> M3DLaMed:
    """M3D-LaMed whose encoder is frozen and comes from a file."""
    file = folder / "encoder.safetensors"
    if not file.exists():
        torch.manual_seed(9)
        save_file(ViT3D(vision3d()).state_dict(), file)
    return M3DLaMed(
        vision3d=vision3d(weights=str(file)), language=language(), vocabulary=VOCABULARY
    )


def weights(model: VolumeLM) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def test_a_checkpoint_leaves_out_the_encoder_that_its_file_gives_back(tmp_path):
    trainer(tmp_path, 2).fit(lamed(tmp_path), datamodule=OneBatch())
    saved = torch.load(tmp_path / "step=2.ckpt", weights_only=True)
    assert {key.split(".")[0] for key in saved["state_dict"]} == {"mm_projector", "language"}


def test_a_resumed_fit_ends_where_an_uninterrupted_one_does(tmp_path):
    torch.manual_seed(0)
    whole = lamed(tmp_path)
    trainer(tmp_path, 4).fit(whole, datamodule=OneBatch())
    torch.manual_seed(1)
    resumed = lamed(tmp_path)
    trainer(tmp_path / "b", 4).fit(
        resumed, datamodule=OneBatch(), ckpt_path=tmp_path / "step=2.ckpt"
    )
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_resuming_from_another_system_is_refused(tmp_path):
    trainer(tmp_path, 2).fit(lamed(tmp_path), datamodule=OneBatch())
    blind = make("blind")
    with pytest.raises(TomovoxError, match="made by M3DLaMed, not BlindLM"):
        trainer(tmp_path / "b", 4).fit(
            blind, datamodule=OneBatch(), ckpt_path=tmp_path / "step=2.ckpt"
        )


def test_training_lowers_the_loss(tmp_path):
    torch.manual_seed(0)
    model = lamed(tmp_path)
    model.optimizer_config.lr = 1e-2
    run = trainer(tmp_path, 1)
    run.fit(model, datamodule=OneBatch())
    first = float(run.callback_metrics["train/loss"])
    run = trainer(tmp_path, 8)
    run.fit(model, datamodule=OneBatch())
    assert float(run.callback_metrics["train/loss"]) < first


def test_the_rate_rises_in_warm_up_and_ends_at_the_floor():
    rates = [cosine_with_warmup(step, 100, 0.1, 0.2) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(rates) == 1 and rates[-1] == pytest.approx(0.2)
    falling = rates[10:]
    assert falling == sorted(falling, reverse=True)


def test_a_stage_in_which_nothing_trains_is_refused():
    with pytest.raises(TomovoxError, match="nothing trains in stage align"):
        make("blind", stage="align").configure_optimizers()


def test_frozen_parameters_count_in_the_total_only():
    trainable, total = count_parameters(make("m3d_lamed"))
    encoder = count_parameters(make("m3d_lamed").vision3d)[1]
    assert total - trainable == encoder > 0


# ---- what a stage trains ---------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["align", "instruct"])
def test_token_tables_that_are_named_train_in_both_stages(stage):
    body = language(train="frozen", embeddings="input")
    body.architecture["tie_word_embeddings"] = False
    model = make("m3d_lamed", language=body, stage=stage)
    trains = {n for n, p in model.language.named_parameters() if p.requires_grad}
    assert trains == {"model.model.embed_tokens.weight"}


@pytest.mark.parametrize(("stage", "trains"), [("align", False), ("instruct", True)])
def test_the_mask_head_trains_in_instruct_only(stage, trains):
    head = SegVolConfig(vision3d=vision3d(), heads=2)
    model = make("m3d_lamed", mask_head=head, stage=stage)
    parts = [*model.seg_module.parameters(), *model.seg_projector.parameters()]
    assert any(p.requires_grad for p in parts) is trains
