"""What do more slices cost MS-VLM? Time and memory of 8 to 512 slices, and of padding.

usage: OMP_NUM_THREADS=1 python benchmarks/ms_vlm_slices.py [--slices 8 16 ...] [--shares 1.0 ...]
                              [--repeats 3] [--output benchmarks/results/ms_vlm_slices.json]

Z-former (12 layers) and resampler (6 layers, 32 latents) have width 768, weights are random: the
published resampler, of width 4096, costs more and the same whatever the attention. A tiny
convolutional network stands for the slice encoder, whose cost is per slice and told apart. One step
is a forward and a backward pass of all but the encoder.

by_slices: one study of so many slices. "dense" attention, "windowed" in blocks of 16, and "random",
windows with 3 random blocks as BigBird's.
by_share: four studies, the longest of 64 slices; so great a share of the padded batch is slices,
the lengths are in equal steps. Padded to the longest, or packed in one row.

Seconds are CPU time, medians of repeats in which the ways alternate. Peak memory is what a call has
resident above what was resident before it (weights, and gradients of a step), in a process of its
own.
"""

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from measured import commit
from speed_case import watched_call
from torch import Tensor, nn

from tomovox.models.projector import mlp
from tomovox.models.resampler import Resampler
from tomovox.models.slice_layout import Packed, Padded
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.zformer import ZFormerConfig

ROOT = Path(__file__).resolve().parents[1]
ENCODER = SliceEncoderConfig(kind="conv", image=64, patch=16, width=192)
LATENTS, LAYERS, LANGUAGE = 32, 6, 4096
ATTENTION: dict[str, dict[str, Any]] = {
    "dense": {},
    "windowed": {"attention": "windowed"},
    "random": {"attention": "windowed", "random_blocks": 3},
}
LAYOUTS = {"padded": Padded, "packed": Packed}
STUDIES, LONGEST = 4, 64
Pass = Literal["read", "step"]


class Reader(nn.Module):
    """What stands between the slice encoder and the language model, at published width."""

    def __init__(self, way: str, lengths: Sequence[int]):
        super().__init__()
        attention, self.way = way.split()
        torch.manual_seed(0)
        config = ZFormerConfig(positions="index", max_per_series=None, **ATTENTION[attention])
        self.zformer = config.build(ENCODER.width)
        self.resampler = Resampler(config.width, config.heads, LATENTS, LAYERS)
        self.projector = mlp(config.width, LANGUAGE)
        self.lay_out(lengths)

    def lay_out(self, lengths: Sequence[int]) -> None:
        """Take studies of so many slices to read from now on."""
        seen = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        self.features = {"cls": torch.randn(*seen.shape, ENCODER.width), "seen": seen}
        self.layout = LAYOUTS[self.way](seen, lengths)

    def read(self) -> Tensor:
        """Return the visual tokens of all studies."""
        memory = self.zformer(self.features, self.layout)
        return self.projector(self.resampler(memory, self.layout))

    def call(self, kind: Pass) -> None:
        """Read the studies; in a step, with the gradients of all weights."""
        if kind == "step":
            self.read().square().mean().backward()
            self.zero_grad(set_to_none=False)
        else:
            with torch.inference_mode():
                self.read()


def lengths_of(share: float) -> list[int]:
    """Return the slices of each study, so that a share of the padded batch is slices."""
    shortest = round((2 * share - 1) * LONGEST)
    return torch.linspace(LONGEST, shortest, STUDIES).round().int().tolist()


def peak(way: str, lengths: Sequence[int], kind: Pass) -> float:
    """Return the MiB of a call, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (way, lengths, kind, torch.get_num_threads()))


def _peak(way: str, lengths: Sequence[int], kind: Pass, threads: int) -> float:
    torch.set_num_threads(threads)
    reader = Reader(way, [1, 1])
    reader.call(kind)  # gradients, and what libraries set up once, are of no slice
    reader.lay_out(lengths)
    return watched_call(partial(reader.call, kind)).peak_mib


def compared(ways: Sequence[str], lengths: Sequence[int], repeats: int) -> dict[str, Any]:
    """Return seconds and MiB of each way to read studies of so many slices."""
    rows: dict[str, Any] = {way: {} for way in ways}
    readers = {way: Reader(way, lengths) for way in ways}
    kinds: tuple[Pass, ...] = ("read", "step")
    for kind in kinds:
        calls = {way: partial(reader.call, kind) for way, reader in readers.items()}
        for way, seconds in alternated(calls, repeats).items():
            rows[way][f"{kind}_seconds"] = round(seconds, 4)
    for way in readers:
        rows[way] |= {f"{kind}_mib": round(peak(way, lengths, kind), 1) for kind in kinds}
    return rows


def alternated(calls: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each call, all called in turn, after a first time."""
    for call in calls.values():
        call()
    rounds = [{name: seconds_of(call) for name, call in calls.items()} for _ in range(repeats)]
    return {name: median(each[name] for each in rounds) for name in calls}


def seconds_of(call: Callable[[], None]) -> float:
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def by_slices(slices: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return what one study of each number of slices costs."""
    encoder, rows = ENCODER.build(), []
    for count in slices:
        images = torch.rand(count, 1, 64, 64)
        with torch.inference_mode():
            encode = alternated({"encode": partial(encoder, images)}, repeats)["encode"]
        costs = compared([f"{name} padded" for name in ATTENTION], [count], repeats)
        rows.append({"slices": count, "encode_seconds": round(encode, 4), **costs})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def by_share(shares: Sequence[float], repeats: int) -> list[dict[str, Any]]:
    """Return what some studies cost padded and packed, by the share that is no padding."""
    rows = []
    ways = [f"{attention} {layout}" for attention in ("dense", "windowed") for layout in LAYOUTS]
    for share in shares:
        lengths = lengths_of(share)
        costs = compared(ways, lengths, repeats)
        rows.append({"share": share, "lengths": lengths, **costs})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def machine() -> dict[str, Any]:
    """Return what was measured on."""
    names = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next(line.partition(": ")[2] for line in names if line.startswith("model name"))
    return {
        "processor": name,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "tomovox": version("tomovox"),
    }


def main() -> None:
    """Write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    output = ROOT / "benchmarks/results/ms_vlm_slices.json"
    counts = [8, 16, 32, 64, 128, 256, 512]
    parser.add_argument("--slices", type=int, nargs="*", default=counts)
    parser.add_argument("--shares", type=float, nargs="*", default=[1.0, 0.9, 0.8, 0.7, 0.6])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=output)
    given = parser.parse_args()
    outcome = {
        "commit": commit(),
        "machine": machine(),
        "by_slices": by_slices(given.slices, given.repeats),
        "by_share": by_share(given.shares, given.repeats),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
