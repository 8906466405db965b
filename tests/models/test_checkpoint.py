"""Does a checkpoint hold what training made, and is a file that does not fit refused by name?"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import VOCABULARY, language, make, vision3d

from tomovox.models.checkpoint import kept_state, load_initial, load_trained, save_trained
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.vit3d import ViT3D
from tomovox.models.weights import untied_state
from tomovox.schema import TomovoxError

NOTE = {"system": "M3DLaMed", "sources": "{}"}


@pytest.fixture
def encoder_file(tmp_path: Path) -> str:
    torch.manual_seed(9)
    path = tmp_path / "encoder.safetensors"
    save_file(ViT3D(vision3d()).state_dict(), path)
    return str(path)


def sourced(weights: str, seed: int = 0, frozen: bool = True, **changes) -> M3DLaMed:
    """Return M3D-LaMed whose encoder comes from a file."""
    torch.manual_seed(seed)
    encoder = vision3d(weights=weights, frozen=frozen)
    arguments = {"language": language(), "vocabulary": VOCABULARY} | changes
    model = M3DLaMed(vision3d=encoder, **arguments)
    model.configure_model()
    return model.eval()


def save_language(folder: Path) -> None:
    save_file(untied_state(make("blind").language), folder / "model.safetensors")


def states_are_equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())


def test_load_restores_every_tensor(name, tmp_path):
    model, other = make(name, seed=1), make(name, seed=2)
    save_trained(model, tmp_path / "model.safetensors")
    load_trained(other, tmp_path / "model.safetensors")
    assert states_are_equal(model, other)


def test_a_folder_stands_for_the_file_in_it(tmp_path):
    model, other = make("blind", seed=1), make("blind", seed=2)
    save_trained(model, tmp_path / "model.safetensors")
    load_trained(other, tmp_path)
    assert states_are_equal(model, other)


def test_a_frozen_encoder_that_its_source_gives_back_is_left_out(encoder_file):
    kept = kept_state(sourced(encoder_file))
    assert kept and not any(key.startswith("vision3d.") for key in kept)


def test_an_encoder_made_from_scratch_is_kept():
    assert any(key.startswith("vision3d.") for key in kept_state(make("m3d_lamed")))


def test_an_encoder_that_trains_is_kept_whatever_its_source(encoder_file):
    kept = kept_state(sourced(encoder_file, frozen=False))
    assert any(key.startswith("vision3d.") for key in kept)


def test_adapters_are_kept_and_the_sourced_language_model_is_not(tmp_path):
    save_language(tmp_path)
    model = make("blind", language=language(train="lora", weights=str(tmp_path)))
    kept = kept_state(model)
    assert kept and all("lora_" in key for key in kept)


def test_what_was_left_out_comes_back_from_its_source(encoder_file, tmp_path):
    model, other = sourced(encoder_file, seed=1), sourced(encoder_file, seed=2)
    save_trained(model, tmp_path / "model.safetensors")
    load_trained(other, tmp_path / "model.safetensors")
    assert states_are_equal(model, other)


def test_missing_renamed_and_mis_shaped_keys_are_all_named(tmp_path):
    path, model = tmp_path / "model.safetensors", make("m3d_lamed")
    save_trained(model, path)
    state = load_file(path)
    first, second, third = sorted(k for k in state if k.startswith("vision3d.blocks.0"))[:3]
    del state[first]
    state[f"{second}.renamed"] = state.pop(second)
    state[third] = torch.zeros(7)
    save_file(state, path, metadata=NOTE)
    with pytest.raises(TomovoxError) as caught:
        load_trained(model, path)
    message = str(caught.value)
    assert f"missing: {first}, {second};" in message
    assert f"unexpected: {second}.renamed;" in message
    assert f"other shape: {third} (7,)" in message and "\n" not in message


def test_a_refused_file_leaves_the_model_as_it_was(tmp_path):
    model, untouched = make("m3d_lamed", seed=1), make("m3d_lamed", seed=1)
    path = tmp_path / "model.safetensors"
    save_trained(make("m3d_lamed", seed=2), path)
    state = load_file(path)
    state.pop(min(state))
    save_file(state, path, metadata=NOTE)
    with pytest.raises(TomovoxError):
        load_trained(model, path)
    assert states_are_equal(model, untouched)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(TomovoxError, match=r"model\.safetensors: no readable checkpoint"):
        load_trained(make("blind"), path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TomovoxError, match=r"nowhere: no readable checkpoint"):
        load_trained(make("blind"), tmp_path / "nowhere")


# ---- starting from an earlier stage --------------------------------------------------------


def test_instruct_starts_from_the_bridge_that_align_trained(encoder_file, tmp_path):
    path = tmp_path / "align.safetensors"
    align = sourced(encoder_file, seed=1, stage="align")
    save_trained(align, path)
    start = sourced(encoder_file, seed=2, init_from=str(path))
    assert states_are_equal(align, start)


def test_a_stage_may_start_lora_from_a_file_without_adapters(encoder_file, tmp_path):
    save_language(tmp_path)
    config = {"weights": str(tmp_path)}
    path = tmp_path / "align.safetensors"
    align = sourced(encoder_file, 1, stage="align", language=language(**config))
    save_trained(align, path)
    adapted = language(**config, train="lora")
    start = sourced(encoder_file, 2, language=adapted, init_from=str(path))
    bridge = {k: v for k, v in align.state_dict().items() if k in kept_state(align)}
    assert bridge and all(torch.equal(v, start.state_dict()[k]) for k, v in bridge.items())


def test_a_stage_without_the_whole_bridge_is_refused(tmp_path):
    path = tmp_path / "align.safetensors"
    save_trained(make("m3d_lamed", stage="align"), path)
    state = load_file(path)
    lost = min(k for k in state if k.split(".")[0] not in ("vision3d", "language"))
    del state[lost]
    save_file(state, path, metadata=NOTE)
    with pytest.raises(TomovoxError, match=f"missing: {lost}"):
        make("m3d_lamed", init_from=str(path))


def test_a_stage_with_a_tensor_that_the_model_lacks_is_refused(tmp_path):
    path = tmp_path / "align.safetensors"
    save_trained(make("m3d_lamed", stage="align"), path)
    save_file(load_file(path) | {"language.strange": torch.zeros(1)}, path, metadata=NOTE)
    with pytest.raises(TomovoxError, match=r"unexpected: language\.strange"):
        make("m3d_lamed", init_from=str(path))


def test_a_stage_of_another_system_is_refused(tmp_path):
    path = tmp_path / "align.safetensors"
    save_trained(make("blind"), path)
    with pytest.raises(TomovoxError, match="made by BlindLM, not M3DLaMed"):
        make("m3d_lamed", init_from=str(path))


def test_a_stage_that_would_lose_what_an_earlier_one_trained_is_refused(tmp_path):
    """What neither trains here nor lies in the source would be missing from the next file."""
    body = language(train="frozen", embeddings="input")
    body.architecture["tie_word_embeddings"] = False
    align = make("m3d_lamed", stage="align", language=body)
    align.sources["language"] = "somewhere"
    save_trained(align, tmp_path / "model.safetensors")
    instruct = make("m3d_lamed", language=replace(body, embeddings="as_train"))
    instruct.sources["language"] = "somewhere"
    with pytest.raises(TomovoxError, match="neither trains nor keeps"):
        load_initial(instruct, str(tmp_path / "model.safetensors"))
