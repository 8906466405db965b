"""What do M3D-Bench and the published training cost? GPU-hours, memory and disk, computed.

usage: python benchmarks/scaling.py [--gpu A100-80GB] [--utilisation 0.4] [--bandwidth 0.6]

Nothing is run: FLOPs are counted on shapes (`tomovox models`), visits and types come from the
recipes under baselines, numbers of records from what M3D-Data released. A GPU does `utilisation` of
its dense peak, and reads weights at `bandwidth` of its memory's; another GPU is a line in GPUS.
Hours of prediction are those of computing and of reading weights together. Letters: n questions;
E perceive, A attend, P prefill, t token, in GFLOPs.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tomovox.sizes import TEXT_TOKENS, ModelSize, size_of

BASELINES = Path(__file__).resolve().parents[1] / "baselines"


class Gpu(NamedTuple):
    """Dense peaks in TFLOP/s, memory in GB, and its bandwidth in GB/s."""

    bf16: float
    tf32: float
    fp32: float
    memory: float
    bandwidth: float


GPUS = {
    "A100-80GB": Gpu(312, 156, 19.5, 80, 2039),
    "H100-SXM": Gpu(989, 495, 67, 80, 3350),
    "L40S": Gpu(362, 183, 91.6, 48, 864),
}
"""Figures of their maker's data sheets, without sparsity."""


class Asked(NamedTuple):
    """A task of M3D-Bench: records, studies (batches), tokens of a prompt's text and an answer."""

    task: str
    records: int
    studies: int
    prompt: int
    answer: int


TEST_CASES = {"0003": 200, "0011": 241, "0012": 28}
CLASSES = {"0003": 4, "0011": 104, "0012": 6}
"""Test volumes (a fifth of 1,000, 1,204 and 140 released cases) and structures of M3D-Bench."""

MASKS = sum(TEST_CASES[code] * CLASSES[code] for code in TEST_CASES)
BENCH = (
    Asked("report", 2_000, 2_000, 32, 256),
    Asked("vqa_closed", 13_800, 2_000, 64, 12),
    Asked("vqa_open", 13_800, 2_000, 32, 12),
    Asked("rec", 2 * TEST_CASES["0003"] * CLASSES["0003"], TEST_CASES["0003"], 48, 48),
    Asked("reg", 2 * TEST_CASES["0003"] * CLASSES["0003"], TEST_CASES["0003"], 64, 48),
)
"""What every language model answers; the first three are asked of the same studies."""

DRAWN = Asked("seg_semantic", MASKS, sum(TEST_CASES.values()), 32, 16)
"""Each of seg_semantic and seg_referring, of a model with a mask head."""

TRAINED_VOLUMES = 115_000
TRAINED_TEXT = 160
"""Text tokens of a training row, padding to the longest of its batch included."""

VOLUMES, VOXELS = 120_092, 32 * 256 * 256


@dataclass(frozen=True)
class System:
    """A system, its recipes, and how often an encoder's or a language model's forward is spent.

    `encode` is of a training visit's volume, `speak` of its tokens: 1 forward, 1 more for the
    gradients of activations, 1 more for those of weights, 1 more where layers are computed again.
    `frozen_encode` GFLOPs of `perceive` are spent once, whatever `encode` says. `trained_encoder`
    and `layers` are (tokens, width, layers) of the encoder that trains, and (width, layers) of the
    language model.
    """

    name: str
    recipe: str
    align: str
    encode: float
    speak: float
    align_speak: float
    layers: tuple[int, int]
    trained_encoder: tuple[int, int, int] = (0, 0, 0)
    frozen_encode: float = 0.0


VIT3D = 506.0
"""GFLOPs of the 3D ViT, M3D-LaMed's `perceive`: the part of Med-2E3's that stays frozen."""

VIT_TOKENS = (2049, 768, 12)
M3D = "m3d_lamed/published"
SYSTEMS = (
    System(
        *("Med-2E3", "med2e3/published", "med2e3/published_align", 3, 4, 3, (3072, 32)),
        *((32 * 256, 1024, 24), VIT3D),
    ),
    System("M3D-LaMed Phi-3", M3D, f"{M3D}_align", 3, 2, 2, (3072, 32), VIT_TOKENS),
    System("M3D-LaMed Llama-2", f"{M3D}_llama2", "", 3, 2, 2, (4096, 32), VIT_TOKENS),
    System("MS-VLM", "ms_vlm/published", "ms_vlm/published_align", 1, 2, 2, (4096, 32)),
)


def sizes() -> dict[str, ModelSize]:
    """Return the figures of `tomovox models` of every recipe."""
    names = [name for s in SYSTEMS for name in (s.recipe, s.align) if name]
    return {name: size_of(BASELINES / f"{name}.yaml") for name in names}


def recipe(name: str) -> dict[str, Any]:
    """Return a recipe."""
    found: dict[str, Any] = yaml.safe_load((BASELINES / f"{name}.yaml").read_text("utf-8"))
    return found


def table(heads: str, rows: Iterator[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table; `heads` are separated by commas, numbers stand right."""
    names = heads.split(",")
    lines = ["| " + " | ".join(names) + " |", "|---|" + "---:|" * (len(names) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


# ---- prediction --------------------------------------------------------------------------------


def answer_gflops(size: ModelSize, asked: Asked) -> float:
    """Return n (A + P + (prompt - nominal) t + (answer - 1) t): what a task's questions cost."""
    assert size.question is not None and size.token is not None
    tokens = asked.prompt - TEXT_TOKENS + asked.answer - 1
    return asked.records * (size.question + tokens * size.token)


def read_hours(size: ModelSize, tokens: int, bytes_each: int, rate: float) -> float:
    """Return the hours in which the language model's weights are read, once for each token.

    All questions of a study are one batch, which ends with its longest answer: its tokens count
    once. There are t / 2 weights: each is one multiply-add of a token. `rate` is in GB/s.
    """
    assert size.token is not None
    return tokens * size.token / 2 * bytes_each / rate / 3600


def predicted(given: argparse.Namespace, found: dict[str, ModelSize]) -> Iterator[tuple[str, ...]]:
    """Yield hours of answering the language tasks of M3D-Bench, of each system."""
    gpu = GPUS[given.gpu]
    for system in SYSTEMS:
        size = found[system.recipe]
        assert size.perceive is not None
        encode = (BENCH[0].studies + BENCH[3].studies) * size.perceive
        total = (encode + sum(answer_gflops(size, asked) for asked in BENCH)) / 1e6
        longest = recipe(system.recipe)["model"]["init_args"]["max_new_tokens"]
        tokens = BENCH[0].studies * longest + BENCH[3].studies * BENCH[3].answer
        rate = gpu.bandwidth * given.bandwidth
        reads = [read_hours(size, tokens, number, rate) for number in (2, 4)]
        hours = [total * 1e3 / (peak * given.utilisation) / 3600 for peak in gpu[:3]]
        kinds = (hours[0] + reads[0], hours[1] + reads[1], hours[2] + reads[1])
        shown = [f"{encode / 1e6 / total:.0%}", f"{reads[0]:.1f}", *(f"{h:.1f}" for h in kinds)]
        yield system.name, f"{total:.0f}", *shown


def drawn(given: argparse.Namespace, found: dict[str, ModelSize]) -> str:
    """Return what the segmentation tasks come to, of M3D-LaMed with a mask head."""
    size, gpu = found["m3d_lamed/published"], GPUS[given.gpu]
    assert size.perceive is not None
    # A second ViT of the same sizes encodes the volume for the masks.
    total = DRAWN.studies * 2 * size.perceive + 2 * answer_gflops(size, DRAWN)
    hours = [total / 1e3 / (peak * given.utilisation) / 3600 for peak in gpu[:3]]
    most = 2 * CLASSES["0011"]
    row = 256 + DRAWN.prompt + DRAWN.answer
    caches = [most * row * 2 * 32 * width * 2 / 1e9 for width in (3072, 4096)]
    return (
        f"Segmentation, both tasks, Phi-3, its decoder of masks not counted: {2 * DRAWN.records:,} "
        f"questions,\n{total / 1e6:,.0f} PFLOP, {hours[0]:.1f} h in bf16, {hours[2]:.1f} h in "
        f"float32. A TotalSegmentator study asked for both tasks\nis one batch of {most} "
        f"questions: keys and values of {row} tokens take {caches[0]:.0f} GB (Phi-3) or "
        f"{caches[1]:.0f} GB\n(Llama-2) in bf16, twice that in float32, its masks "
        f"{most * VOXELS * 4 / 1e9:.1f} GB."
    )


# ---- training ----------------------------------------------------------------------------------


def visit_gflops(system: System, size: ModelSize, align: bool) -> float:
    """Return e E + s (visual + text) t + 3 A: what one question of one visit costs.

    The bridge trains in both stages; encoders do not in the first.
    """
    assert None not in (size.perceive, size.attend, size.token, size.visual_tokens)
    once = size.perceive if align else system.frozen_encode
    encode = once + (0 if align else system.encode) * (size.perceive - system.frozen_encode)
    speak = system.align_speak if align else system.speak
    return encode + 3 * size.attend + speak * (size.visual_tokens + TRAINED_TEXT) * size.token


def trained(given: argparse.Namespace, found: dict[str, ModelSize]) -> Iterator[tuple[str, ...]]:
    """Yield what each stage of each system comes to."""
    gpu = GPUS[given.gpu]
    for system in SYSTEMS:
        for stage, name in (("align", system.align), ("instruct", system.recipe)):
            name = name or "m3d_lamed/published_align"  # its visits; a recipe of its own is missing
            size = found[system.recipe if stage == "instruct" or not system.align else name]
            visits = recipe(name)["trainer"]["max_epochs"] * TRAINED_VOLUMES
            each = visit_gflops(system, size, stage == "align")
            hours = [visits * each / 1e3 / (peak * given.utilisation) / 3600 for peak in gpu[:3]]
            shown = [f"{visits / 1e6:.2f} M", f"{each:,.0f}", f"{visits * each / 1e9:.1f}"]
            shown += [f"{h:,.0f}" for h in hours]
            read = visits * VOXELS * 4 / 1e12
            yield f"{system.name}, {stage}", *shown, f"{read:.0f} TB"


def held(given: argparse.Namespace, found: dict[str, ModelSize]) -> Iterator[tuple[str, ...]]:
    """Yield what one GPU holds in the instruct stage under DDP, in GB.

    A trainable number takes 20 bytes in float32: weight, gradient, its copy in DDP's buckets, two
    of AdamW. Activations: 34 bytes per token, width and layer (Korthikanti et al. 2022, without
    attention matrices), 2 where layers are computed again.
    """
    for system in SYSTEMS:
        size, config = found[system.recipe], recipe(system.recipe)
        language, batch = config["model"]["init_args"]["language"], config["data"]["batch_size"]
        assert None not in (size.parameters, size.trainable, size.visual_tokens)
        frozen = size.parameters - size.trainable
        each = 2 if language["dtype"] == "bfloat16" else 4
        state = (each * frozen + 20 * size.trainable) / 1e9
        tokens, width, layers = system.trained_encoder
        again = 2 if language.get("gradient_checkpointing") else 34
        text = size.visual_tokens + TRAINED_TEXT
        active = (34 * tokens * width * layers + again * text * prod(system.layers)) / 1e9
        total = state + batch * active
        fits = "fits" if total < GPUS[given.gpu].memory else "does not fit"
        yield (
            *(system.name, f"{size.trainable / 1e6:,.0f} M", f"{state:.0f}", f"{active:.1f}"),
            *(f"{batch}", f"{total:,.0f}, {fits}", f"{size.trainable * 12 / 1e9:.1f}"),
            *(f"{size.parameters * 4 / 1e9:.0f}", f"{size.parameters * 2 / 1e9:.0f}"),
        )


def lines(given: argparse.Namespace) -> Iterator[str]:
    """Yield all tables."""
    found, gpu = sizes(), GPUS[given.gpu]
    yield (
        f"One {given.gpu}: {gpu.bf16:g} TFLOP/s in bf16, {gpu.tf32:g} in TF32, {gpu.fp32:g} in "
        f"float32, dense, at {given.utilisation:.0%};\nweights are read at {given.bandwidth:.0%} "
        f"of {gpu.bandwidth:,.0f} GB/s. 1 PFLOP = 1e15, 1 EFLOP = 1e18 operations. All computed."
    )
    yield "\nM3D-Bench, what is asked\n"
    asked = (*BENCH, DRAWN, DRAWN._replace(task="seg_referring"))
    yield from table(
        "task,records,studies,text tokens of a prompt,tokens of an answer",
        ((a.task, *(f"{x:,}" for x in a[1:])) for a in asked),
    )
    yield "\nGPU-hours to answer report, VQA, REC and REG once\n"
    heads = "system,PFLOP,of it encoders,h reading weights (bf16),h bf16,h TF32,h float32"
    yield from table(heads, predicted(given, found))
    yield "\n" + drawn(given, found)
    yield "\nGPU-hours to train as published\n"
    heads = "system and stage,visits,GFLOP a visit,EFLOP,h bf16,h TF32,h float32,volumes read"
    yield from table(heads, trained(given, found))
    yield "\nGB of one GPU in the instruct stage (DDP), of a checkpoint, and of all weights\n"
    heads = "system,trainable,state,activations of a question,batch,in all,checkpoint"
    yield from table(f"{heads},weights in float32,in bf16", held(given, found))
    stored = VOLUMES * VOXELS / 1e12
    yield (
        f"\nVolumes of M3D-Cap, {VOLUMES:,} of 32 x 256 x 256: {4 * stored:.2f} TB in float32 as "
        f"released, {stored:.2f} TB in uint8."
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--gpu", choices=GPUS, default="A100-80GB")
    made.add_argument("--utilisation", type=float, default=0.4, help="share of the dense peak")
    made.add_argument("--bandwidth", type=float, default=0.6, help="share of the memory's")
    return made


def main() -> None:
    """Print the tables."""
    for line in lines(parser().parse_args()):
        print(line)


if __name__ == "__main__":
    main()
