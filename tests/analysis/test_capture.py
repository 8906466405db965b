"""Is what was scored kept with the table, and told once?"""

from dataclasses import replace

import pytest

from tomovox.analysis.capture import CAPTURE, Capture, read_captures, told_of, write_captures
from tomovox.schema import TomovoxError

MED2E3 = Capture(
    model="med2e3",
    seed=0,
    system="Med2E3",
    scored="weights",
    layer="the connectors' output",
    scoring="tgis",
    temperature=5.0,
    depth_bins=4,
    slices=32,
    predictions="0" * 64,
    records=10,
    known=8,
    located=6,
    several=0,
    commit="abc",
)
MS_VLM = replace(MED2E3, model="ms_vlm", scoring="", temperature=None, depth_bins=None)


def test_captures_are_read_back_as_they_were(tmp_path):
    both = [MED2E3, replace(MS_VLM, seed=None)]
    assert write_captures(both, tmp_path).name == CAPTURE
    assert read_captures(tmp_path) == both


def test_a_folder_without_the_file_has_no_captures(tmp_path):
    assert read_captures(tmp_path) == []


@pytest.mark.parametrize("text", ["{", "[1]", "7", '[{"model": "a"}]'])
def test_a_file_of_another_version_is_named(tmp_path, text):
    (tmp_path / CAPTURE).write_text(text, encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"capture\.json: .*run tomovox attention again"):
        read_captures(tmp_path)


def test_it_is_told_what_scores_are_and_where_they_are_read():
    (first, *_) = told_of([MED2E3])
    assert first == (
        "med2e3: scores are weights (scoring tgis, temperature 5), read at the connectors' output."
    )


def test_a_system_without_settings_tells_none():
    assert told_of([MS_VLM]) == ("ms_vlm: scores are weights, read at the connectors' output.",)


def test_depth_bins_are_told():
    assert "only 4 distinct depth bins" in told_of([MED2E3])[1]


def test_what_is_left_out_is_counted():
    assert any("3 answers about studies" in line for line in told_of([replace(MS_VLM, several=3)]))


def test_data_without_evidence_are_told():
    told = told_of([replace(MS_VLM, known=0, located=0)])
    assert any("none of 10 records has evidence" in line for line in told)


def test_seeds_of_a_model_are_told_of_once():
    assert told_of([MED2E3, replace(MED2E3, seed=1)]) == told_of([MED2E3])
