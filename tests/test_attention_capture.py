"""Does a capture say what the model of a RUN scores, and of which predictions?"""

import shutil
from dataclasses import replace
from hashlib import sha256

import pytest
from test_attention_cell import tiny_rows
from test_experiment import BASELINES

from tomovox.attention_capture import capture_of
from tomovox.attention_cell import read_looking
from tomovox.schema import PREDICTIONS, TomovoxError


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    return read_looking(tiny_rows(tmp_path_factory.getbasetemp()) / "med2e3-s0")


@pytest.fixture(scope="module")
def capture(looking):
    return capture_of(("med2e3", 0), looking)


@pytest.fixture
def published(looking, tmp_path):
    """A run that looked like the tiny one, and of which only the config is another's."""

    def of(name: str):
        shutil.copytree(looking.run, tmp_path / "run")
        shutil.copy(BASELINES / name / "published.yaml", tmp_path / "run" / "config.yaml")
        moved = read_looking(looking.run)
        moved.run = tmp_path / "run"
        return capture_of((name, None), moved)

    return of


def test_it_names_the_row_and_its_predictions(capture, looking):
    data = (looking.run / PREDICTIONS).read_bytes()
    assert (capture.model, capture.seed, capture.system) == ("med2e3", 0, "Med2E3")
    assert capture.predictions == sha256(data).hexdigest()


def test_arguments_that_a_config_leaves_out_are_those_of_the_model(capture):
    assert (capture.scoring, capture.temperature) == ("tgis", 5.0)


def test_records_are_counted(capture, looking):
    assert capture.records == len(looking.attended)
    assert 0 < capture.located < capture.known < capture.records


def test_pooled_3d_tokens_have_few_bins_of_depth(capture):
    assert (capture.depth_bins, capture.slices) == (2, 8)  # patches of 2, pooled by 2


def test_the_published_med2e3_has_four_bins(published):
    assert published("med2e3").depth_bins == 4


def test_the_resampler_of_ms_vlm_has_no_temperature_and_no_bins(published):
    capture = published("ms_vlm")
    assert "resampler's attention" in capture.scored
    assert (capture.scoring, capture.temperature, capture.depth_bins) == ("", None, None)


@pytest.mark.parametrize("model", ["[]", "{}", "{class_path: os}", "{class_path: none.of.these}"])
def test_a_config_of_no_model_is_named(looking, tmp_path, model):
    (tmp_path / "config.yaml").write_text(f"model: {model}\n", encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"config\.yaml: "):
        capture_of(("med2e3", 0), replace(looking, run=tmp_path))
