"""Is every published way of storing weights read, and nothing that could run code?"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tomovox.models.released_files import read_released
from tomovox.schema import TomovoxError

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b.bias": torch.ones(2)}


def same(state: dict[str, torch.Tensor]) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize("name", ["x.safetensors", "pretrained_ViT.bin", "x.pt", "x.pth"])
def test_a_single_file_is_read(tmp_path, name):
    file = tmp_path / name
    save_file(STATE, file) if name.endswith("safetensors") else torch.save(STATE, file)
    assert same(read_released(file))


def test_a_torch_file_of_the_old_format_is_read(tmp_path):
    torch.save(STATE, tmp_path / "x.bin", _use_new_zipfile_serialization=False)
    assert same(read_released(tmp_path / "x.bin"))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model_with_lora.bin"])
def test_a_folder_of_one_file_is_read(tmp_path, name):
    file = tmp_path / name
    save_file(STATE, file) if name.endswith("safetensors") else torch.save(STATE, file)
    assert same(read_released(tmp_path))


def shard(folder: Path, kind: str) -> Path:
    """Write STATE in two shards with an index, as transformers does."""
    ending, index = {
        "safetensors": ("safetensors", "model.safetensors.index.json"),
        "bin": ("bin", "pytorch_model.bin.index.json"),
    }[kind]
    placed = {}
    for number, (key, value) in enumerate(STATE.items(), 1):
        name = f"model-{number:05d}-of-00002.{ending}"
        save = save_file if kind == "safetensors" else torch.save
        save({key: value}, folder / name)
        placed[key] = name
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": placed}), "utf-8")
    return folder / index


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_read_by_their_index(tmp_path, kind):
    shard(tmp_path, kind)
    assert same(read_released(tmp_path))


def test_a_folder_per_part_is_read_with_the_names_of_the_parts(tmp_path):
    for part in ("llm", "vision2d_model"):
        (tmp_path / part).mkdir()
        torch.save(STATE, tmp_path / part / "pytorch_model.bin")
    (tmp_path / "args").mkdir()
    state = read_released(tmp_path)
    assert state.keys() == {f"{p}.{k}" for p in ("llm", "vision2d_model") for k in STATE}


def test_a_state_inside_the_dictionary_of_a_training_program_is_found(tmp_path):
    torch.save({"epoch": 3, "state_dict": STATE}, tmp_path / "x.pt")
    assert same(read_released(tmp_path / "x.pt"))


# ---- what is refused -------------------------------------------------------------------------


class Harmful:
    """What runs a command when it is unpickled."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_in_it_is_refused_and_does_not_run(tmp_path, zipped):
    trace = tmp_path / "ran"
    file = tmp_path / "pytorch_model.bin"
    torch.save(STATE | {"c": Harmful(trace)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(TomovoxError, match="refused: no plain torch file of tensors") as error:
        read_released(file)
    assert not trace.exists() and str(file) in str(error.value)


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(TomovoxError, match="refused"):
        read_released(tmp_path / "x.pt")


def test_numbers_that_are_no_tensors_are_refused(tmp_path):
    torch.save(STATE | {"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(TomovoxError, match="1 entries are no named tensors, such as 'epoch'"):
        read_released(tmp_path / "x.pt")


def test_one_ranks_share_of_a_sharded_state_is_refused(tmp_path):
    torch.save(STATE | {"c": torch.empty(0)}, tmp_path / "x.pt")
    with pytest.raises(TomovoxError, match="1 tensors have no values, such as c"):
        read_released(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "content", [b"", b"no tensors", b"PK\x03\x04 broken", b"\x80\x02\x91", b"just a text"]
)
@pytest.mark.parametrize("name", ["x.bin", "x.safetensors"])
def test_a_broken_file_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TomovoxError, match=name):
        read_released(tmp_path / name)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(TomovoxError, match="no such file or folder"):
        read_released(tmp_path / "x.bin")
    with pytest.raises(TomovoxError, match="holds no weights"):
        read_released(tmp_path)


def test_a_shard_without_a_key_that_the_index_names_is_refused(tmp_path):
    shard(tmp_path, "safetensors")
    save_file({"other": torch.ones(1)}, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(TomovoxError, match=r"does not hold what model.safetensors.index.json says"):
        read_released(tmp_path)


def test_an_index_that_points_out_of_its_folder_is_refused(tmp_path):
    index = shard(tmp_path, "bin")
    index.write_text(json.dumps({"weight_map": {"a.weight": "../model.bin"}}), "utf-8")
    with pytest.raises(TomovoxError, match="is no file beside the index"):
        read_released(tmp_path)


@pytest.mark.parametrize(
    "placed", [None, [], {"a": 3}, {"a": ["model.bin"]}, {"a": "x" * 400}, {"a": "\x00"}]
)
def test_an_index_that_names_no_files_is_refused(tmp_path, placed):
    index = shard(tmp_path, "bin")
    index.write_text(json.dumps({"weight_map": placed}), "utf-8")
    with pytest.raises(TomovoxError, match=str(tmp_path)):
        read_released(tmp_path)


def test_a_pickle_that_asks_for_more_than_there_is_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"ab.")
    with pytest.raises(TomovoxError, match=r"a\.bin: refused"):
        read_released(tmp_path / "a.bin")
