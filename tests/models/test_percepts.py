"""Is a kept percept the one that would be made, and is nothing else ever taken for it?"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning import LightningDataModule, Trainer
from safetensors.torch import load_file
from short_memory import limited
from tiny_models import (
    CLOSE,
    MAKERS,
    VOCABULARY,
    asked,
    batch_of,
    language,
    make,
    vision3d,
    volumes,
)
from torch.utils.data import DataLoader

from tomovox.data.dataset import move_batch
from tomovox.models.base import VolumeLM
from tomovox.models.halving import AtOnce
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.percepts import PerceptsConfig, perceived
from tomovox.progress import PLAIN_TRAINER
from tomovox.schema import Batch, Studies, TomovoxError

SIGHTED = sorted(set(MAKERS) - {"blind"})


def studies(*rows: int, depth: int = 8) -> Studies:
    """Studies drawn from these seeds."""
    voxels = [volumes(1, seed=row, depth=depth)[0] for row in rows]
    return Studies(voxels, torch.arange(len(rows)), [""] * len(rows), [""] * len(rows))


def keeper(folder: Path, name: str = "m3d_lamed", **changes) -> VolumeLM:
    dtype = changes.pop("dtype", "as_made")
    return make(name, percepts=PerceptsConfig(str(folder), dtype), **changes)


def counts(model: VolumeLM) -> tuple[int, int]:
    """Return how many studies were found and made."""
    assert model.percepts is not None
    return model.percepts.found, model.percepts.made


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", SIGHTED)
def test_a_kept_percept_equals_the_one_that_is_made(name, tmp_path):
    model, asked = keeper(tmp_path, name), studies(0, 1, 2)
    plain = model.perceive(asked).features
    for _ in range(2):
        kept = perceived(model, asked).features
        assert kept.keys() == plain.keys()
        for key, value in plain.items():
            assert kept[key].dtype == value.dtype
            torch.testing.assert_close(kept[key], value, **CLOSE)
    assert counts(model) == (3, 3)


def test_a_found_percept_has_the_bits_of_the_made_one(tmp_path):
    model = keeper(tmp_path)
    made, found = (perceived(model, studies(0, 1)).features["tokens3d"] for _ in range(2))
    assert torch.equal(made, found)


def test_a_percept_does_not_depend_on_who_was_perceived_with_it(tmp_path):
    alone = perceived(keeper(tmp_path / "a"), studies(1)).features["tokens3d"]
    among = perceived(keeper(tmp_path / "b"), studies(0, 1, 2)).features["tokens3d"]
    assert torch.equal(alone[0], among[1])


def test_studies_of_other_lengths_are_padded_as_if_perceived_together(tmp_path):
    model = keeper(tmp_path, "ms_vlm")
    long, short = studies(0, depth=12).voxels, studies(1, 2, depth=5).voxels
    mixed = Studies([*short, *long], torch.tensor([0, 0, 1]), [""] * 3, [""] * 3)
    plain, kept = model.perceive(mixed).features, perceived(model, mixed).features
    for key, value in plain.items():
        torch.testing.assert_close(kept[key], value, **CLOSE)


def test_what_is_kept_is_not_encoded_again(tmp_path):
    perceived(keeper(tmp_path), studies(0, 1))
    model = keeper(tmp_path)
    model.vision3d.register_forward_pre_hook(lambda *_: pytest.fail("encoded again"))
    perceived(model, studies(1, 0))
    assert counts(model) == (2, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"vision3d": vision3d(tap="last_block")},
        {"dtype": "bfloat16"},
    ],
    ids=["weights", "tap", "dtype"],
)
def test_what_another_encoder_made_is_not_found(changes, tmp_path):
    perceived(keeper(tmp_path), studies(0))
    other = keeper(tmp_path, **changes)
    perceived(other, studies(0))
    assert counts(other) == (0, 1)


def test_weights_that_are_loaded_later_find_nothing_of_before(tmp_path):
    model, other = keeper(tmp_path), make("m3d_lamed", seed=1)
    perceived(model, studies(0))
    model.load_state_dict(other.state_dict())
    kept = perceived(model, studies(0)).features["tokens3d"]
    torch.testing.assert_close(kept, other.perceive(studies(0)).features["tokens3d"], **CLOSE)


def test_a_single_other_voxel_is_another_study(tmp_path):
    model, asked = keeper(tmp_path), studies(0)
    perceived(model, asked)
    asked.voxels[0][0, 1, 2, 3] += 1e-6
    perceived(model, asked)
    assert counts(model) == (0, 2)


def test_autocast_finds_nothing_that_was_made_without(tmp_path):
    model = keeper(tmp_path)
    perceived(model, studies(0))
    with torch.autocast("cpu", torch.bfloat16):
        perceived(model, studies(0))
    assert counts(model) == (0, 2)


def test_settings_that_no_encoder_reads_change_nothing(tmp_path):
    perceived(keeper(tmp_path, stage="align"), studies(0))
    other = keeper(tmp_path, stage="instruct", max_new_tokens=9)
    perceived(other, studies(0))
    assert counts(other) == (1, 0)


def test_prediction_finds_what_training_kept_however_many_questions_fit(tmp_path):
    model = keeper(tmp_path, stage="align").train()
    perceived(model, studies(0))
    other = keeper(tmp_path, stage="align").eval()
    other.at_once = AtOnce(2, told=print)
    perceived(other, studies(0))
    assert counts(other) == (1, 0)


def test_questions_that_are_asked_in_parts_find_the_percept_of_all(tmp_path, monkeypatch):
    # Enough of them that what they open with is read once a study.
    batch = asked([*volumes(2)], [[5, k, 7][: 1 + k % 3] for k in range(8, 16)], [0, 0, 1, 1] * 2)
    whole = make("m3d_lamed").predict_step(batch).ids
    perceived(keeper(tmp_path), batch.studies)
    model, tries = keeper(tmp_path), limited(monkeypatch, 4)
    assert torch.equal(model.predict_step(batch).ids, whole)
    assert counts(model) == (2, 0) and tries == [8, 4, 4]


def test_memory_that_runs_out_over_a_volume_is_asked_for_again(tmp_path, monkeypatch):
    model, left = keeper(tmp_path), [1]
    batch, perceive = asked([*volumes(2)], [[5, 6], [7, 8, 9]], [0, 1]), model.perceive

    def short(given):
        if left.pop() if left else False:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return perceive(given)

    monkeypatch.setattr(model, "perceive", short)
    assert torch.equal(model.predict_step(batch).ids, make("m3d_lamed").predict_step(batch).ids)
    assert counts(model) == (0, 2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_takes_half_the_place_and_reads_alike_from_the_first(dtype, tmp_path):
    model = keeper(tmp_path, dtype=dtype)
    made, found = (perceived(model, studies(0)).features["tokens3d"] for _ in range(2))
    assert torch.equal(made, found)
    assert made.dtype == torch.float32
    plain = model.perceive(studies(0)).features["tokens3d"]
    torch.testing.assert_close(made, plain, atol=1e-2, rtol=1e-2)
    assert load_file(files(tmp_path)[0])["tokens3d"].dtype == getattr(torch, dtype)


def damaged(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield ways in which a file may be wrong."""
    whole = path.read_bytes()
    yield "cut off", whole[: len(whole) // 2]
    yield "empty", b""
    yield "no header", b"\xff" * 64
    yield "a flipped bit", whole[:-1] + bytes([whole[-1] ^ 1])
    yield "another sum", whole.replace(b'"sum":"', b'"sun":"')
    yield "other dtypes", whole.replace(b"float32", b"float99")


@pytest.mark.parametrize("kind", range(6))
def test_a_damaged_file_is_said_and_made_again(kind, tmp_path, capsys):
    model = keeper(tmp_path)
    made = perceived(model, studies(0)).features["tokens3d"]
    (path,) = files(tmp_path)
    path.write_bytes(list(damaged(path))[kind][1])
    assert torch.equal(perceived(model, studies(0)).features["tokens3d"], made)
    assert "it is made again" in capsys.readouterr().err
    perceived(model, studies(0))
    assert counts(model) == (1, 2)


def test_a_file_of_another_study_is_said_and_made_again(tmp_path, capsys):
    model = keeper(tmp_path)
    made = perceived(model, studies(0)).features["tokens3d"]
    (first,) = files(tmp_path)
    perceived(model, studies(1))
    (second,) = set(files(tmp_path)) - {first}
    first.write_bytes(second.read_bytes())
    assert torch.equal(perceived(model, studies(0)).features["tokens3d"], made)
    assert "of another study" in capsys.readouterr().err


def test_an_encoder_that_trains_is_never_kept(tmp_path):
    model = keeper(tmp_path, vision3d=vision3d(frozen=False))
    assert perceived(model, studies(0)).features["tokens3d"].requires_grad
    assert files(tmp_path) == []


def test_a_model_that_sees_nothing_keeps_nothing(tmp_path):
    perceived(keeper(tmp_path, "blind"), studies(0))
    assert files(tmp_path) == []


class Turned(LightningDataModule):
    """Batches of two of four studies in an order that turns, a question about each."""

    augment = False

    def train_dataloader(self) -> DataLoader:
        return DataLoader([batch_of_two(k) for k in range(8)], batch_size=None, collate_fn=None)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, index: int) -> Batch:
        return move_batch(batch, device)


def batch_of_two(step: int) -> Batch:
    voxels = studies(step % 4, (step + 1 + step // 4) % 4).voxels
    return batch_of(voxels, [0, 1], [[5, 6], [7, 8, 9]], [[20, 1], [21, 22, 1]], [0, 1])


def trained(percepts: PerceptsConfig | None, data: Turned) -> dict[str, torch.Tensor]:
    """Return the weights after a first stage of eight steps."""
    torch.manual_seed(3)
    model = M3DLaMed(
        vision3d=vision3d(), language=language(), vocabulary=VOCABULARY,
        stage="align", percepts=percepts,
    )  # fmt: skip
    trainer = Trainer(
        max_steps=8, accelerator="cpu", enable_progress_bar=False, **PLAIN_TRAINER
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    if percepts:
        assert counts(model)[1] <= 4
        assert sum(counts(model)) == 16
    return model.state_dict()


def test_training_from_kept_percepts_ends_with_the_weights_of_training_without(tmp_path):
    plain = trained(None, Turned())
    for _ in range(2):  # makes the percepts, then finds all of them
        kept = trained(PerceptsConfig(str(tmp_path)), Turned())
        assert kept.keys() == plain.keys()
        for key, value in plain.items():
            torch.testing.assert_close(kept[key], value, atol=1e-6, rtol=1e-5, msg=key)


def test_augmented_volumes_are_refused(tmp_path):
    data = Turned()
    data.augment = True
    with pytest.raises(TomovoxError, match=r"data\.augment"):
        trained(PerceptsConfig(str(tmp_path)), data)
