"""The verbs `tomovox checkpoint ...`: what is in a released checkpoint, and how is one written?

Handlers import late, so that --help is quick.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.cli_terminal import Verbs

if TYPE_CHECKING:
    from rich.table import Table

    from tomovox.models.released_inspect import Contents

SHOWN = 10
"""How many keys of a kind are printed."""

EXAMPLES = """\
examples:
  tomovox checkpoint inspect M3D-LaMed-Phi-3-4B         system, sizes, number types, what is missing
  tomovox checkpoint inspect pretrained_ViT.bin
  tomovox checkpoint export runs/mine/med2e3-s0 OUT     the trained weights under released names
  tomovox checkpoint export RUN OUT --format bin        as files the released code opens
"""


def add_checkpoint_verbs(verbs: Verbs) -> None:
    """Add `checkpoint` with its own verbs."""
    parser = verbs.add_parser(
        "checkpoint",
        help="look into a released checkpoint, or write one",
        description="Released checkpoints of M3D-CLIP, M3D-LaMed, SegVol and Med-2E3. To start a "
        "model from one, give model.init_args.released (the whole system) or the `weights` of a "
        "part in its YAML.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    look = inner.add_parser(
        "inspect",
        help="say which system a file or folder is, how large, and what it lacks",
        description="Read a checkpoint (safetensors, or torch files of tensors alone) and print "
        "what it holds. Exit code 1 when weights are missing or strange.",
    )
    look.add_argument("place", type=Path, metavar="FILE", help="file, or folder of a release")
    look.set_defaults(handler=_inspect)
    write = inner.add_parser(
        "export",
        help="write the model of a RUN folder under released key names",
        description="Write the weights of a RUN as the release lies on disk, LoRA merged. "
        "`safetensors` is safe to open; the released code of Med-2E3 reads `bin`.",
    )
    write.add_argument("run", type=Path, metavar="RUN")
    write.add_argument("target", type=Path, metavar="OUT", help="new folder")
    write.add_argument("--format", choices=("safetensors", "bin"), default="safetensors")
    write.set_defaults(handler=_export)


def _inspect(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.models.released_inspect import inspect_released

    contents = inspect_released(options.place)
    console = table_console()
    title = f"{contents.place}: {contents.layout.title}"
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    console.print(_table(contents))
    for told, keys in (
        ("no weights of part", contents.absent),
        ("missing", contents.gaps),
        ("not known", contents.strange),
    ):
        for key in keys[:SHOWN]:
            console.print(f"{told}: {key}", markup=False, highlight=False, soft_wrap=True)
        if len(keys) > SHOWN:
            console.print(f"{told}: and {len(keys) - SHOWN} more", highlight=False)
    return 1 if contents.gaps or contents.strange else 0


def _table(contents: "Contents") -> "Table":
    from rich.table import Table

    table = Table("part")
    for column in ("tensors", "parameters"):
        table.add_column(column, justify="right")
    table.add_column("numbers")
    for part in contents.parts:
        numbers = ", ".join(name for name, _ in part.dtypes.most_common())
        name = part.name.rstrip(".") or "encoder"
        table.add_row(name, f"{part.tensors}", f"{part.parameters:,}", numbers)
    tensors = sum(part.tensors for part in contents.parts)
    table.add_row("all", f"{tensors}", f"{contents.parameters:,}", "")
    return table


def _export(options: argparse.Namespace) -> int:
    from tomovox.cell import load_run
    from tomovox.data.tokenizer import save_tokenizer
    from tomovox.models.released_export import write_released
    from tomovox.progress import say

    model, data = load_run(options.run)
    for file in write_released(model, options.target, options.format):
        say(f"wrote {file}")
    save_tokenizer(data.template.text_tokenizer, options.target)
    return 0
