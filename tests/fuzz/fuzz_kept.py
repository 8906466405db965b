"""The readers of what a call leaves for the next: tables, settings, words, drawings, recordings."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from damage import Bytes, damaged_bytes, damaged_csv, damaged_json, damaged_yaml, json_bytes
from damage_arrays import npy_bytes
from fuzz_data import put
from fuzz_target import Target
from fuzz_weights import CASE, STATE, damaged_safetensors
from safetensors.torch import save

from tomovox.analysis.attended import Attended
from tomovox.analysis.localisation import localisation_rows
from tomovox.analysis.table import attention_table, write_attention
from tomovox.cell import load_data
from tomovox.configuration import merged, read_yaml
from tomovox.data.phantom import write_phantom
from tomovox.data.prepare import Settings, prepare
from tomovox.data.tokenizer import build_word_tokenizer, load_tokenizer, save_tokenizer
from tomovox.judge.protocols import FOLDER, read_protocol
from tomovox.models.weights import load_pretrained, read_config
from tomovox.parity.cases import EXPECTED, find_cases
from tomovox.report.drawings import figures_in
from tomovox.report_attention import ATTENTION, sheets_in

RECIPE = Path(__file__).parents[2] / "baselines" / "blind" / "tiny.yaml"
RUN = Path("blind-s0")
CONFIG = merged(
    read_yaml(RECIPE),
    {"fit": [{"stage": "instruct", "max_steps": 2, "lr": None}], "threads": 1, "data_key": "ab"},
    {"data": {"root": "${experiment}/data"}},
    {"data": {"template": {"init_args": {"tokenizer": "${run}/tokenizer"}}}},
)
LLAMA = {
    **{"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 16},
    **{"num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 8},
}
PROTOCOL = FOLDER / "vqa_closed.yaml"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"/>'
SMALL = Settings((2, 4, 4))


def _yaml(content: bytes) -> Bytes:
    return damaged_yaml(yaml.safe_load(content), content.decode())


def _value(content: bytes) -> Bytes:
    return damaged_json(json.loads(content))


def _rows(delimiter: str, content: bytes) -> Bytes:
    return damaged_csv(
        list(csv.reader(io.StringIO(content.decode()), delimiter=delimiter)), delimiter
    )


# ---- experiments --------------------------------------------------------------------------------


def _write_run(folder: Path) -> None:
    put(folder / RUN / "config.yaml", yaml.safe_dump(CONFIG))
    save_tokenizer(build_word_tokenizer(["Which plane is it?"]), folder / RUN / "tokenizer")
    write_phantom(folder / "data", 2, 0, (8, 16, 16), series=1)


def _write_attention(folder: Path) -> None:
    looked = [
        Attended(
            *(f"vqa_closed/test/{n}", str(n), f"{n}.npy", "vqa_closed", "plane", "Which?", "", ""),
            *((0.125 * (n % 3), 0.25, 0.375, 0.375 - 0.125 * (n % 3)), (n % 4,), "slice"),
        )
        for n in range(6)
    ]
    write_attention(attention_table({("med2e3", 0): localisation_rows(looked)}), folder)


def _write_llama(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**LLAMA)).save_pretrained(folder / "llama")
    put(folder / "llama/config.json", json_bytes(LLAMA))


def _llama(folder: Path) -> object:
    from transformers import LlamaForCausalLM

    return load_pretrained(LlamaForCausalLM, str(folder / "llama"), "language model")


# ---- data sets ----------------------------------------------------------------------------------


def _prepare(folder: Path) -> object:
    return prepare(folder / "scans", folder / "made", SMALL)


def _write_prepared(folder: Path) -> None:
    put(folder / "scans/a.npy", npy_bytes(np.arange(96, dtype=np.int16).reshape(4, 4, 6)))
    _prepare(folder)


def _phantom(folder: Path) -> None:
    write_phantom(folder / "data", 2, 0, (8, 16, 16), series=1)


# ---- parity -------------------------------------------------------------------------------------


def _write_case(folder: Path) -> None:
    put(folder / "case/case.json", json_bytes(CASE))
    put(folder / "case" / EXPECTED, save(STATE))


def _recorded(folder: Path) -> object:
    (case,) = find_cases([folder / "case"])
    return [case.expected(name) for name in STATE]


KEPT = [
    Target(
        "config of a run, built", str(RUN / "config.yaml"), _write_run, _yaml,
        lambda folder: load_data(folder / RUN), (str(RUN),),
    ),
    Target(
        "tokenizer.json", str(RUN / "tokenizer/tokenizer.json"), _write_run, _value,
        lambda folder: load_tokenizer(str(folder / RUN / "tokenizer")), ("tokenizer",),
    ),
    Target(
        "tokenizer_config.json", str(RUN / "tokenizer/tokenizer_config.json"), _write_run, _value,
        lambda folder: load_tokenizer(str(folder / RUN / "tokenizer")), ("tokenizer",),
    ),
    Target(
        "config.json of a language model", "llama/config.json", _write_llama, _value,
        lambda folder: read_config(str(folder / "llama"), "language model"), ("llama",),
    ),
    Target(
        "weights of a language model", "llama/model.safetensors", _write_llama,
        damaged_safetensors, _llama, ("llama",),
    ),
    Target("attention.csv", ATTENTION, _write_attention, partial(_rows, ","), sheets_in),
    Target(
        "drawing .svg", "depth.svg", lambda folder: put(folder / "depth.svg", DRAWING),
        damaged_bytes, figures_in,
    ),
    Target("prepare.json", "made/prepare.json", _write_prepared, _value, _prepare, ("made",)),
    Target(
        "prepared.tsv", "made/prepared.tsv", _write_prepared, partial(_rows, "\t"), _prepare,
    ),
    Target("phantom.json", "data/phantom.json", _phantom, damaged_bytes, _phantom),
    Target(
        "protocol of a task", PROTOCOL.name,
        lambda folder: put(folder / PROTOCOL.name, PROTOCOL.read_bytes()),
        _yaml, lambda folder: read_protocol(folder / PROTOCOL.name),
    ),
    Target(
        "recorded tensors", f"case/{EXPECTED}", _write_case, damaged_safetensors, _recorded,
        ("case.json",),
    ),
]  # fmt: skip
