"""Does training bring volumes and their reports together, and is the published layout written?"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer, seed_everything
from safetensors.torch import load_file
from tiny_models import vision3d

from tomovox.data.report_pairs import ReportPairs
from tomovox.models.clip_training import ClipTraining, Pairs, recall_at_1, save_encoder
from tomovox.models.m3d_clip import M3DCLIP, TextEncoderConfig
from tomovox.schema import TomovoxError, Vocabulary

REPORTS = (
    "Fatty liver without stones.",
    "Old fracture of ribs.",
    "Small renal cysts seen.",
    "Large pleural fluid collection.",
)
STEPS = 60
PARTS = {"vision_encoder", "language_encoder", "mm_vision_proj", "mm_language_proj", "logit_scale"}


def encoder() -> M3DCLIP:
    text = TextEncoderConfig(vocabulary=40, width=32, layers=2, heads=2, mlp=48, positions=16)
    return M3DCLIP(vision3d(), text)


def training(**changes) -> ClipTraining:
    seed_everything(0, verbose=False)
    return ClipTraining(**({"encoder": encoder} | changes))


def configured(**changes) -> ClipTraining:
    made = training(**changes)
    made.configure_model()
    return made


def trainer(folder: Path, **changes) -> Trainer:
    plain = {"accelerator": "cpu", "devices": 1, "logger": False, "default_root_dir": folder}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(**(plain | quiet | {"enable_checkpointing": False} | changes))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Write volumes of one texture each, every patch alike, and reports without a common word."""
    root: Path = tmp_path_factory.mktemp("pairs")
    rows = []
    for place, report in enumerate(REPORTS):
        case = f"M3D_Cap_npy/ct_case/{place:06d}"
        (root / case).mkdir(parents=True)
        patch = np.random.default_rng(place).integers(2, size=(1, 2, 4, 4), dtype=np.uint8)
        np.save(root / case / "Axial.npy", np.tile(patch * 255, (1, 4, 4, 4)))
        (root / case / "text.txt").write_text(report, encoding="utf-8")
        rows.append({"image": f"{case}/Axial.npy", "text": f"{case}/text.txt"})
    (root / "M3D_Cap_npy/M3D_Cap.json").write_text(json.dumps({"train": rows, "val": rows}))
    return root


@pytest.fixture
def data(root) -> ReportPairs:
    return ReportPairs(str(root), batch_size=len(REPORTS))


@pytest.fixture
def batch(data) -> Pairs:
    data.setup("validate")
    return next(iter(data.val_dataloader()))


@pytest.fixture(scope="module")
def learned(root, tmp_path_factory) -> Trainer:
    """Train on all pairs at once, saving a checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    run = trainer(
        folder, max_epochs=STEPS, check_val_every_n_epoch=STEPS, enable_checkpointing=True
    )
    pairs = ReportPairs(str(root), batch_size=len(REPORTS))
    run.fit(training(lr=5e-3), datamodule=pairs)
    return run


# ---- learning --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["report_of_volume_r1", "volume_of_report_r1"])
def test_every_volume_finds_its_report_and_back(learned, way):
    assert learned.callback_metrics[f"val/{way}"] == 1


def test_training_lowers_the_loss(learned, data, tmp_path):
    (before,) = trainer(tmp_path).validate(training(), datamodule=data, verbose=False)
    assert learned.callback_metrics["val/loss"] < 0.5 * before["val/loss"]


def test_the_trained_weights_load_into_a_fresh_encoder_strictly(learned, batch, tmp_path):
    module = learned.lightning_module.eval()
    save_encoder(module, tmp_path / "model.safetensors")
    fresh = encoder().eval()
    fresh.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    torch.testing.assert_close(
        fresh.embed_studies(batch.studies), module.clip.embed_studies(batch.studies)
    )


def test_the_written_file_has_the_parts_of_the_published_one(tmp_path):
    save_encoder(configured(), tmp_path / "model.safetensors")
    names = load_file(tmp_path / "model.safetensors")
    assert {name.split(".")[0] for name in names} == PARTS


def test_a_checkpoint_gives_the_trained_weights_back(learned):
    path = learned.checkpoint_callback.best_model_path
    loaded = ClipTraining.load_from_checkpoint(path, encoder=encoder, weights_only=True)
    trained = learned.lightning_module.state_dict()
    assert trained.keys() == loaded.state_dict().keys()
    assert all(torch.equal(trained[k], v) for k, v in loaded.state_dict().items())


# ---- what trains -----------------------------------------------------------------------------


def test_nothing_is_built_before_it_is_used():
    assert not list(training().children())


def test_what_was_trained_is_not_built_again():
    made = configured()
    weights = made.clip.logit_scale
    made.configure_model()
    assert made.clip.logit_scale is weights


def test_a_pretrained_encoder_trains_with_its_dropout():
    made = configured(encoder=lambda: encoder().eval())
    assert all(module.training for module in made.modules())


def test_every_weight_that_trains_gets_a_gradient(batch):
    made = configured()
    made.log_dict = lambda *a, **k: None
    made.training_step(batch, 0).backward()
    assert all((p.grad is not None) == p.requires_grad for p in made.parameters())


def test_all_but_the_unread_pooler_trains():
    still = {name for name, p in configured().clip.named_parameters() if not p.requires_grad}
    assert still == {f"language_encoder.pooler.dense.{part}" for part in ("weight", "bias")}


def test_norms_and_biases_do_not_decay(tmp_path):
    made = configured()
    made.trainer = trainer(tmp_path, max_steps=10)
    decays, spared = made.configure_optimizers()["optimizer"].param_groups
    names = {id(p): name for name, p in made.clip.named_parameters()}
    assert (decays["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(
        "norm" in n.lower() or n.endswith("bias") for n in (names[id(p)] for p in spared["params"])
    )
    assert "logit_scale" in {names[id(p)] for p in decays["params"]}


# ---- figures and bad input -------------------------------------------------------------------


def test_recall_counts_the_rows_whose_own_target_is_nearest():
    targets = torch.eye(4)
    queries = targets[[0, 1, 3, 2]]
    assert recall_at_1(queries, targets) == 0.5


def test_of_equal_targets_only_the_first_is_found():
    same = torch.eye(4)[[0, 0, 0, 1]]
    assert recall_at_1(same, same) == 0.5


def test_a_tokenizer_of_more_words_than_the_encoder_knows_is_refused():
    many = Vocabulary(size=41, placeholder=3, pad=0, eos=1)
    with pytest.raises(TomovoxError, match="knows 40 words and the tokenizer 41"):
        configured(vocabulary=many)
