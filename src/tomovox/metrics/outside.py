"""How good is a report to RadGraph, RaTEScore or GREEN? Each runs in a Python of its own.

These packages need others in versions of their own, download models when they are made, and one
runs code that its model brings. So they run in a process without a network: what they need must
have been fetched by hand before, and what they lack is said instead of a value.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tomovox.metrics.resources import Unavailable

NOWHERE = "http://127.0.0.1:9"
"""A proxy that is none: what asks for a network gets an error at once."""

OFFLINE = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1"),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), NOWHERE),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), ""),
}
"""What keeps libraries from the network, those of Hugging Face and all that follow a proxy."""

SHORTEST = 3
"""Characters of a text that says anything."""

_FRAME = """
import json, sys, tempfile
told, sys.stdout = sys.stdout, sys.stderr
given = json.load(sys.stdin)
said, wanted = given["said"], given["wanted"]
{body}
json.dump([float(value) for value in values], told)
"""


@dataclass(frozen=True)
class Outside:
    """A scorer of another package: the `body` makes `values` of the lists `said` and `wanted`.

    `variable` is the environment variable with the Python that runs it; without it, ours does.
    `details` go into the signature, `how` says what to install and to fetch.
    """

    variable: str
    details: str
    body: str
    how: str


SCORERS = {
    "radgraph_f1": Outside(
        "TOMOVOX_RADGRAPH",
        "model:radgraph-xl|reward:partial|by:radgraph",
        "from radgraph import F1RadGraph\n"
        'scorer = F1RadGraph(reward_level="partial", model_type="radgraph-xl")\n'
        "values = scorer(hyps=said, refs=wanted)[1]",
        "run pip install 'tomovox[radgraph]' and, once and with a network, python -c \"from "
        "radgraph import F1RadGraph; F1RadGraph(reward_level='partial', model_type='radgraph-xl')"
        '", which fetches StanfordAIMI/RRG_scorers; or set TOMOVOX_RADGRAPH to a Python that has '
        "both",
    ),
    "ratescore": Outside(
        "TOMOVOX_RATESCORE",
        "model:RaTE-NER-Deberta|synonyms:BioLORD-2023-C|weights:long|by:RaTEScore",
        "import torch\n"
        "from RaTEScore import RaTEScore\n"
        "scorer = RaTEScore(use_gpu=torch.cuda.is_available())\n"
        "values = scorer.compute_score(said, wanted)",
        "run pip install 'tomovox[ratescore]' and, once and with a network, python -c \"from "
        'RaTEScore import RaTEScore; RaTEScore(use_gpu=False)", which fetches '
        "Angelakeke/RaTE-NER-Deberta and FremyCompany/BioLORD-2023-C; or set TOMOVOX_RATESCORE to "
        "a Python that has both",
    ),
    "green": Outside(
        "TOMOVOX_GREEN",
        "model:GREEN-radllama2-7b|by:green_score",
        # Of several GPUs it would want one process each; its summary needs a further model.
        "import os\n"
        'gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0")\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = gpus.partition(",")[0]\n'
        "from green_score import GREEN\n"
        'model = "StanfordAIMI/GREEN-radllama2-7b"\n'
        "scorer = GREEN(model, output_dir=tempfile.mkdtemp(), compute_summary_stats=False)\n"
        "values = scorer(wanted, said)[2]",
        "it needs older versions of torch and transformers than ours: make an environment of "
        "Python 3.12.1, the only one that it takes, run pip install green_score==0.0.12 there (or "
        "git+https://github.com/Stanford-AIMI/GREEN), hf download StanfordAIMI/GREEN-radllama2-7b "
        "(13 GB, a GPU, and code of its own that it runs), and set TOMOVOX_GREEN to the Python of "
        "that environment",
    ),
}
"""The scorers by the name of their metric."""


def outside_values(name: str, said: Sequence[str], wanted: Sequence[str]) -> list[float]:
    """Return what a scorer of SCORERS says of each answer.

    One without a text of three characters on a side has 0.0: RaTEScore drops shorter ones, and then
    pairs what is left wrongly.
    Raises Unavailable, with what to install, where it does not run.
    """
    scorer = SCORERS[name]
    pairs = [(s.strip(), w.strip()) for s, w in zip(said, wanted, strict=True)]
    todo = sorted({pair for pair in pairs if min(map(len, pair)) >= SHORTEST})
    if not todo:
        return [0.0] * len(pairs)
    values = dict(zip(todo, _run(name, scorer, todo), strict=True))
    return [values.get(pair, 0.0) for pair in pairs]


def _run(name: str, scorer: Outside, pairs: Sequence[tuple[str, str]]) -> list[float]:
    python = os.environ.get(scorer.variable) or sys.executable
    texts = dict(zip(("said", "wanted"), map(list, zip(*pairs, strict=True)), strict=True))
    try:
        run = subprocess.run(
            [python, "-c", _FRAME.format(body=scorer.body)],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **OFFLINE},
        )
    except OSError as error:
        raise Unavailable(
            f"{name}: {python} does not run ({error.strerror}); {scorer.how}"
        ) from None
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"{name}: {last}; {scorer.how}")
    try:
        values = json.loads(run.stdout)
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != len(pairs):
        raise Unavailable(f"{name}: it does not give one value for each answer; {scorer.how}")
    if not all(isinstance(value, float) and value == value for value in values):
        raise Unavailable(f"{name}: it gives a value that is no number; {scorer.how}")
    return values
