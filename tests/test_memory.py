"""Does the measurement of memory measure: does it watch a real prediction, and fit its line?"""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from memory import Sample, peak_of, prepare, slope, watched

from tomovox.schema import PREDICTIONS


def test_the_slope_is_that_of_the_line():
    assert slope([Sample(n, 7 * n + 4096) for n in (10, 20, 40)]) == pytest.approx(7)


def test_a_command_that_fails_is_no_measurement():
    failing = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(RuntimeError, match="exit code 3"):
        peak_of(failing)


def test_a_prediction_is_watched_to_its_end(tmp_path):
    run = prepare(tmp_path, 96)
    samples, peak = watched(run, seconds=0.01)
    answered = (run / PREDICTIONS).read_text(encoding="utf-8").count("\n")
    assert 0 < samples[0].predictions <= samples[-1].predictions <= answered
    assert 0 < max(sample.resident for sample in samples) <= peak
