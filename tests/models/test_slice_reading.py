"""Is a series encoded once, whatever study, caps and Z-former its slices are read for?"""

import pytest
import torch
from safetensors.torch import load_file
from test_percepts import counts, files, keeper, studies
from tiny_models import CLOSE, asked, vision2d, volumes, zformer

from tomovox.models.percepts import perceived


def test_only_what_encoders_made_is_kept_of_ms_vlm_and_the_rest_is_told_anew(tmp_path):
    model = keeper(tmp_path, "ms_vlm")
    kept = perceived(model, studies(0)).features
    (file,) = files(tmp_path)
    assert load_file(file).keys() == {"cls"} and "plane" not in kept
    named = studies(0)
    named.plane = ["sagittal"]
    told = perceived(model, named).features
    assert counts(model) == (1, 1)
    assert told["plane"].tolist() == [[3] * 8] and torch.equal(told["cls"], kept["cls"])


def test_zformers_and_resamplers_of_all_sizes_read_the_same_file(tmp_path):
    perceived(keeper(tmp_path, "ms_vlm"), studies(0))
    other = keeper(tmp_path, "ms_vlm", latents=2, zformer=zformer(layers=2, attention="windowed"))
    perceived(other, studies(0))
    assert counts(other) == (1, 0)


@pytest.mark.parametrize("caps", [{"max_per_series": 4}, {"max_slices": 9}])
def test_fewer_slices_are_read_of_the_same_file(tmp_path, caps):
    series = [volumes(1, seed=depth, depth=depth)[0] for depth in (5, 9, 2)]
    study = asked(series, [[5]], [0], study=[0, 0, 0]).studies
    perceived(keeper(tmp_path, "ms_vlm"), study)
    fewer = keeper(tmp_path, "ms_vlm", zformer=zformer(**caps))
    found, made = perceived(fewer, study).features, fewer.perceive(study).features
    assert counts(fewer) == (3, 0)
    for name, feature in made.items():
        torch.testing.assert_close(found[name], feature, **CLOSE)


def test_a_series_is_kept_once_whatever_study_it_is_part_of(tmp_path):
    one, two = volumes(1, seed=1, depth=5)[0], volumes(1, seed=2, depth=3)[0]
    model = keeper(tmp_path, "ms_vlm")
    for series in ([one, two], [two, one], [two]):
        studies = asked(series, [[5]], [0], study=[0] * len(series)).studies
        found, made = perceived(model, studies).features, model.perceive(studies).features
        torch.testing.assert_close(found["cls"], made["cls"], **CLOSE)
    assert counts(model) == (3, 2)


def test_how_many_slices_are_encoded_at_a_time_finds_the_same_file(tmp_path):
    perceived(keeper(tmp_path, "ms_vlm"), studies(0))
    other = keeper(tmp_path, "ms_vlm", vision2d=vision2d(chunk=3))
    perceived(other, studies(0))
    assert counts(other) == (1, 0)


def test_kept_and_made_series_become_the_same_tokens(tmp_path):
    model = keeper(tmp_path, "ms_vlm")
    series = [volumes(1, seed=depth, depth=depth)[0] for depth in (5, 9, 2)]
    batch = asked(series, [[5, 6], [7]], [0, 1], study=[0, 0, 1])
    made = model.attend(model.perceive(batch.studies), batch.questions).shared
    for _ in range(2):
        found = model.attend(perceived(model, batch.studies), batch.questions).shared
        torch.testing.assert_close(found, made, **CLOSE)
    assert counts(model) == (3, 3)
