"""Does a model that is written as its release lies on disk come back as it was?"""

import json

import pytest
import torch
from released_models import encoders, lamed
from tiny_models import CLOSE, make, vision3d

from tomovox.models.released import load_released
from tomovox.models.released_export import released_state, write_released
from tomovox.models.weights import read_config
from tomovox.schema import TomovoxError


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(batch)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_m3d_lamed_comes_back_whole(tmp_path, form, two_questions):
    given, model = lamed(1), lamed(2)
    write_released(given, tmp_path / "out", form)
    load_released(model, tmp_path / "out")
    assert torch.equal(logits(given, two_questions), logits(model, two_questions))


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_med2e3_comes_back_from_its_folder_of_parts(tmp_path, form, two_questions):
    configs = encoders(tmp_path)
    given, model = make("med2e3", 1, **configs), make("med2e3", 2, **configs)
    write_released(given, tmp_path / "out", form)
    folders = {p.name for p in (tmp_path / "out").iterdir()}
    vision = {f"vision{n}d_{part}" for n in (2, 3) for part in ("model", "connector")}
    assert folders == {"llm"} | vision
    load_released(model, tmp_path / "out")
    assert torch.equal(logits(given, two_questions), logits(model, two_questions))


def test_adapters_are_merged_into_the_weights_they_adapt(tmp_path, two_questions):
    given, model = lamed(1, lora=True), lamed(2)
    write_released(given, tmp_path / "out", "safetensors")
    load_released(model, tmp_path / "out")
    torch.testing.assert_close(logits(model, two_questions), logits(given, two_questions), **CLOSE)


def test_the_config_of_m3d_lamed_says_what_the_release_says(tmp_path):
    write_released(lamed(1), tmp_path / "out", "safetensors")
    said = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert said["model_type"] == "lamed_llama" and said["segmentation_module"] == "segvol"
    assert said["image_size"] == [8, 16, 16] and said["proj_pooling_size"] == 2
    assert read_config(str(tmp_path / "out"), "language model").hidden_size == 32


def test_a_system_without_a_release_is_refused():
    with pytest.raises(TomovoxError, match="MSVLM has no released form"):
        released_state(make("ms_vlm"))


def test_a_part_without_a_released_form_is_refused():
    with pytest.raises(TomovoxError, match="Med-2E3 has no such weight"):
        released_state(make("med2e3", vision3d=vision3d(tap="last_block")))
    with pytest.raises(TomovoxError, match="a stem conv has no released form"):
        released_state(make("m3d_lamed", vision3d=vision3d(stem="conv")))


def test_another_place_to_read_the_tokens_is_refused():
    with pytest.raises(TomovoxError, match="reads its tokens at normed, not last_block"):
        released_state(make("m3d_lamed", vision3d=vision3d(tap="last_block")))


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine.txt").write_text("x", "utf-8")
    with pytest.raises(TomovoxError, match="is not empty"):
        write_released(lamed(1), tmp_path, "safetensors")
