"""The readers of checkpoints, and of the archives that data sets come in."""

from __future__ import annotations

import gzip
import io
import json
import pickletools
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from damage import STRANGE_TEXTS, Bytes, damaged_bytes, damaged_json, json_bytes
from damage_arrays import damaged_zip
from fuzz_data import put
from fuzz_target import Target
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from tomovox.data.sample_archives import unpack_members
from tomovox.models.checkpoint import load_trained
from tomovox.models.released import load_released
from tomovox.models.released_files import read_released
from tomovox.models.released_inspect import inspect_released
from tomovox.models.vit3d import ViT3D, ViT3DConfig
from tomovox.parity.cases import find_cases

STATE = {
    "model.mm_projector.a.weight": torch.arange(6.0).reshape(2, 3),
    "model.layers.0.b.weight": torch.ones(4, dtype=torch.float16),
}
NOTE = {"system": "Tiny", "sources": "{}"}
INDEX = {
    "metadata": {"total_size": 32},
    "weight_map": {key: f"model-{place}.safetensors" for place, key in enumerate(STATE)},
}
CASE = {"kind": "m3d", "settings": {"a": 1}, "tolerance": 1e-5, "state_dict": {"a": [1, 2]}}


VIT = ViT3DConfig(image=(4, 8, 8), patch=(2, 4, 4), width=8, layers=1, heads=1, mlp=8)


class Tiny(nn.Module):
    """A model of one layer, as far as a checkpoint needs one."""

    encoders = ()

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, Any] = {}
        self.layer = nn.Linear(3, 2, bias=False)


# ---- safetensors --------------------------------------------------------------------------------


def _header(valid: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", valid[:8])[0]
    return json.loads(valid[8 : 8 + length]), valid[8 + length :]


def damaged_safetensors(valid: bytes) -> Bytes:
    """Return safetensors whose header lies of types, shapes, places or its length, or damaged."""
    header, data = _header(valid)

    def whole(told: bytes, length: int | None) -> bytes:
        return struct.pack("<Q", len(told) if length is None else length) + told + data

    lengths = st.sampled_from((None, None, None, None, 0, 2**40, 2**64 - 1))
    lies = st.builds(whole, damaged_json(header), lengths)
    return st.one_of(lies, lies, damaged_bytes(valid))


# ---- files of torch -----------------------------------------------------------------------------


class _Runs:
    """What must never come to life: its unpickling would call a function."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("unpickled",)


VALUES: tuple[Any, ...] = (
    *(None, 3, [], {}, {"a": 1}, {1: torch.ones(2)}, torch.ones(2), {"state_dict": 3}),
    *({"state_dict": {"state_dict": {}}}, {"a": torch.empty(0)}, {"a": _Runs()}, {"a": {"b": 1}}),
    *(
        {"line\nbreak": 1},
        {"a": torch.ones(2).to_sparse()},
        nn.Linear(1, 1),
        {"a": [torch.ones(1)]},
    ),
)


def _torch(value: Any, old: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def _members(valid: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@st.composite
def _opcodes(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return a pickle with its arguments changed at places where one begins."""
    changed = bytearray(valid)
    places = [place for _, _, place in pickletools.genops(valid) if place is not None]
    for _ in range(draw(st.integers(1, 3))):
        place = min(draw(st.sampled_from(places)) + draw(st.integers(0, 3)), len(changed) - 1)
        changed[place] = draw(st.sampled_from((0, 1, 127, 255, *b"0(.cKMJRbt}X]")))
    return bytes(changed)


def _damaged_torch(valid: bytes) -> Bytes:
    members = _members(valid)
    drawn = {
        name: _opcodes(content) if name.endswith(".pkl") else damaged_bytes(content)
        for name, content in members.items()
    }
    others = st.sampled_from([_torch(value) for value in VALUES])
    old = damaged_bytes(_torch(STATE, old=True))
    return st.one_of(damaged_zip(drawn, members), others, old, damaged_bytes(valid))


# ---- archives -----------------------------------------------------------------------------------

KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"9")


def _tar(members: list[tuple[str, bytes, str, int | None]]) -> bytes:
    stream = io.BytesIO()
    for name, kind, link, size in members:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        data = b"voxels" if kind == tarfile.REGTYPE else b""
        member.size = len(data) if size is None else size
        stream.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        stream.write(data.ljust(512, b"\0") if data else b"")
    stream.write(bytes(1024))
    return gzip.compress(stream.getvalue(), 1, mtime=0)


WHOLE = [("set/a.nrrd", tarfile.REGTYPE, "", None), ("set/b.nrrd", tarfile.REGTYPE, "", None)]


def _damaged_tar(valid: bytes) -> Bytes:
    names = st.one_of(st.just("set/a.nrrd"), st.sampled_from(STRANGE_TEXTS[:20])).filter(
        lambda name: "\ud800" not in name
    )
    sizes = st.sampled_from((None, None, 0, 10**6, 2**33, 10**12))
    links = st.sampled_from(("", "../x", "/etc/passwd", "set/a.nrrd"))
    member = st.tuples(names, st.sampled_from((tarfile.REGTYPE, *KINDS)), links, sizes)
    made = st.lists(member, min_size=1, max_size=3).map(lambda more: _tar([*WHOLE, *more]))
    return st.one_of(made, made, damaged_bytes(valid))


def _unpack(folder: Path) -> None:
    """Unpack; nothing may appear outside of the folder that was named."""
    before = {path for path in folder.rglob("*") if "out" not in path.parts}
    try:
        unpack_members(folder / "set.tar.gz", lambda name: True, folder / "deep" / "out")
    finally:
        after = {path for path in folder.rglob("*") if "out" not in path.parts}
        assert after - before <= {folder / "deep"}, "unpacked outside of the folder"


# ---- readers ------------------------------------------------------------------------------------


def _write(folder: Path) -> None:
    put(folder / "model.safetensors", save(STATE, NOTE))
    trained = {"layer.weight": torch.zeros(2, 3)}
    put(folder / "trained.safetensors", save(trained, NOTE))
    put(folder / "released.bin", _torch(STATE))
    put(folder / "sharded/model.safetensors.index.json", json_bytes(INDEX))
    for key, file in INDEX["weight_map"].items():
        put(folder / "sharded" / file, save({key: STATE[key]}))
    put(folder / "whole/pytorch_model.bin", _torch(STATE))
    put(folder / "whole/config.json", json_bytes({"num_hidden_layers": 1}))
    torch.manual_seed(0)
    put(folder / "tuned/model.safetensors", save(ViT3D(VIT).state_dict()))
    put(folder / "tuned/adapter_config.json", json_bytes({"lora_alpha": 32.0}))
    put(folder / "set.tar.gz", _tar(WHOLE))
    put(folder / "case/case.json", json_bytes(CASE))


def _trained(folder: Path) -> None:
    load_trained(Tiny(), folder / "trained.safetensors")


def _released(name: str):
    return lambda folder: read_released(folder / name)


def _case(folder: Path) -> object:
    return [
        (case.fact(str, "kind"), case.fact(float, "tolerance"), case.shapes)
        for case in find_cases([folder / "case"])
    ]


def _inspected(folder: Path) -> object:
    return inspect_released(folder / "whole").gaps


WEIGHTS = [
    Target(
        "model.safetensors", "model.safetensors", _write, damaged_safetensors,
        _released("model.safetensors"),
    ),
    Target("checkpoint of a run", "trained.safetensors", _write, damaged_safetensors, _trained),
    Target("released .bin", "released.bin", _write, _damaged_torch, _released("released.bin")),
    Target(
        "shards, index", "sharded/model.safetensors.index.json", _write,
        lambda content: damaged_json(INDEX), _released("sharded"), ("sharded",),
    ),
    Target(
        "shards, one of them", "sharded/model-0.safetensors", _write, damaged_safetensors,
        _released("sharded"), ("sharded",),
    ),
    Target(
        "config.json of a release", "whole/config.json", _write,
        lambda content: damaged_json({"num_hidden_layers": 1}), _inspected,
    ),
    Target(
        "adapter_config.json", "tuned/adapter_config.json", _write,
        lambda content: damaged_json({"lora_alpha": 32.0}),
        lambda folder: load_released(ViT3D(VIT), folder / "tuned"),
    ),
    Target("case.json", "case/case.json", _write, lambda content: damaged_json(CASE), _case),
    Target("archive .tar.gz", "set.tar.gz", _write, _damaged_tar, _unpack),
]  # fmt: skip
