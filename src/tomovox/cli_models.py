"""The verb `tomovox models`: how large are the models that recipes describe?

The handler imports late, so that --help is quick.
"""

import argparse
import os
from pathlib import Path

from tomovox.cli_terminal import Verbs

EXAMPLES = """\
examples:
  tomovox models                                  all recipes of the folder baselines
  tomovox models baselines/med2e3                 those of one system
  tomovox models my_model.yaml baselines/med2e3/published.yaml

No weights are read and nothing is downloaded. The sizes of the public models that our recipes name
are known; of another model the config.json is read, from its folder or the hub's cache. What cannot
be counted in a folder has n/a in its row and the reason below the table.
"""


def add_models_verb(verbs: Verbs) -> None:
    """Add `models` to the command."""
    parser = verbs.add_parser(
        "models",
        help="print parameters, visual tokens and GFLOPs of the models that recipes describe",
        description="Count parameters, visual tokens and GFLOPs of each recipe without weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "places",
        type=Path,
        nargs="*",
        default=[Path("baselines")],
        metavar="PLACE",
        help="YAML file, or folder of them; default: baselines",
    )
    parser.set_defaults(handler=_models)


def _models(options: argparse.Namespace) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a folder that is not there looks like a hub name
    from tomovox.experiment import table_console
    from tomovox.sizes import print_sizes, sizes_of

    print_sizes(list(sizes_of(options.places)), table_console())
    return 0
