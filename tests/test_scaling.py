"""Are the costs at published size what the formulas beside them say?"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from scaling import (
    BENCH,
    SYSTEMS,
    TRAINED_TEXT,
    answer_gflops,
    parser,
    predicted,
    read_hours,
    recipe,
    visit_gflops,
)

from tomovox.sizes import ModelSize

SIZE = ModelSize("any", 1000, 100, 256, perceive=506.0, attend=6.0, prefill=2000.0, token=8.0)
FROZEN = replace(SYSTEMS[0], encode=0, frozen_encode=506.0, speak=2)


def test_an_answer_costs_its_prompt_and_its_tokens():
    one = BENCH[0]._replace(records=1, prompt=32, answer=1)
    assert answer_gflops(SIZE, one) == 2006
    assert answer_gflops(SIZE, one._replace(answer=3)) == 2006 + 2 * 8


def test_weights_are_read_once_for_each_token():
    # 8 GFLOPs a token are 4e9 weights, 8 GB in bf16.
    assert read_hours(SIZE, tokens=3600, bytes_each=2, rate=8.0) == pytest.approx(1)


def test_a_frozen_encoder_costs_one_forward():
    text = 2 * (256 + TRAINED_TEXT) * 8
    assert visit_gflops(FROZEN, SIZE, align=False) == pytest.approx(506 + 3 * 6 + text)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_system_names_recipes(system):
    for name in filter(None, (system.recipe, system.align)):
        assert recipe(name)["trainer"]["max_epochs"] >= 1


def test_half_the_utilisation_takes_longer():
    found = {system.recipe: SIZE for system in SYSTEMS}
    hours = [
        [float(row[4]) for row in predicted(parser().parse_args(["--utilisation", share]), found)]
        for share in ("0.4", "0.1")
    ]
    assert all(slow > quick for quick, slow in zip(*hours, strict=True))
