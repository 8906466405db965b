"""Does every reader return or refuse in one line, whatever is in its file?"""

from __future__ import annotations

import pytest
from fuzz_all import TARGETS
from fuzz_target import Target, fuzz

CASES = 500
"""Cases of all readers together; benchmarks/fuzz.py tries more."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, monkeypatch, target: Target):
    monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path / "cache"))
    counts = fuzz(target, tmp_path, -(-CASES // len(TARGETS)))
    assert set(counts) <= {"result", "refusal"}
