"""Is a likelihood with hidden slices the one of a study that never had them?"""

import numpy as np
import pytest
import torch
from tiny_models import CLOSE, QUESTIONS, asked, make, volumes

from tomovox.models.likelihood import answer_logprobs
from tomovox.models.probing import SliceProbe, hide_in_input, hide_in_percept, scrambled
from tomovox.schema import TomovoxError

ANSWERS = [[20, 21, 1], [22, 1], [23, 24, 25, 1]]
SCORING = ["med2e3", "ms_vlm"]
both = pytest.mark.parametrize("name", SCORING)


def probe_of(name: str, seed: int = 0) -> SliceProbe:
    batch = asked(list(volumes(1, seed=seed)), QUESTIONS[:3], [0, 0, 0])
    return SliceProbe(make(name), batch, ANSWERS)


def keeping(*places: int) -> np.ndarray:
    keep = np.zeros(8, bool)
    keep[list(places)] = True
    return keep


@both
@pytest.mark.parametrize("where", ["percept", "input"])
def test_with_every_slice_kept_the_answer_is_as_likely_as_in_a_prediction(name, where):
    probe = probe_of(name)
    spliced, _ = probe.model.read(probe.batch)
    plain = answer_logprobs(
        probe.model.language,
        probe.model.language.prefill(spliced),
        [[answer] for answer in ANSWERS],
    )
    found = probe(np.ones((1, 8), bool), where)
    np.testing.assert_allclose(found, np.array(plain).T, atol=2e-4)


@both
@pytest.mark.parametrize("where", ["percept", "input"])
def test_a_set_of_slices_says_the_same_alone_and_among_others(name, where):
    probe = probe_of(name)
    sets = np.stack([keeping(0, 1), keeping(5), keeping(), keeping(*range(8))])
    alone = np.concatenate([probe(keep[None], where) for keep in sets])
    np.testing.assert_allclose(probe(sets, where), alone, atol=2e-4)


def test_chunks_change_nothing(monkeypatch):
    probe, sets = probe_of("med2e3"), np.stack([keeping(i) for i in range(8)])
    together = probe(sets)
    monkeypatch.setattr("tomovox.models.probing.ROWS", 6)
    np.testing.assert_allclose(probe(sets), together, atol=2e-4)


@both
def test_nothing_that_was_in_a_hidden_slice_of_the_input_is_left_but_its_mean(name):
    probe, other = probe_of(name), probe_of(name)
    keep = keeping(0, 1, 2)
    voxels = probe.batch.studies.voxels[0].clone()
    voxels[:, 3:] = voxels[:, 3:].flip(1)  # the mean of the volume stays
    other.batch.studies.voxels[0] = voxels
    found = other(keep[None], "input")
    np.testing.assert_allclose(probe(keep[None], "input"), found, atol=2e-4)


# ---- hidden in the percept ---------------------------------------------------------------------


def features_of(probe: SliceProbe, *shown: int) -> dict[str, torch.Tensor]:
    """Return the percept of a study of which only these slices are shown."""
    keep = torch.from_numpy(keeping(*shown)[None])
    return hide_in_percept(probe.percept, probe.model.slice_features, keep).features


def changed_slices(probe: SliceProbe, first: int) -> None:
    """Give other features to a study's slices from `first` on, and nothing else."""
    for name in probe.model.slice_features:
        rows = probe.percept.features[name].clone()
        rows[:, first:] = 3 * rows[:, first:].flip(1) + 1
        probe.percept.features[name] = rows


@both
def test_a_hidden_slice_has_the_mean_features_of_the_shown_ones(name):
    probe = probe_of(name)
    for feature in probe.model.slice_features:
        found, rows = features_of(probe, 1, 4)[feature], probe.percept.features[feature]
        torch.testing.assert_close(found[0, 0], (rows[0, 1] + rows[0, 4]) / 2)
        torch.testing.assert_close(found[0, [1, 4]], rows[0, [1, 4]])


@both
def test_where_no_slice_is_shown_none_has_features(name):
    probe = probe_of(name)
    for feature in probe.model.slice_features:
        assert not features_of(probe)[feature].any()


@both
def test_nothing_that_was_in_the_features_of_a_hidden_slice_is_left(name):
    probe, other = probe_of(name), probe_of(name)
    keep = keeping(0, 1, 2)[None]
    changed_slices(other, 3)
    np.testing.assert_allclose(probe(keep), other(keep), atol=2e-4)


@both
def test_the_features_of_a_shown_slice_matter(name):
    probe, other = probe_of(name), probe_of(name)
    changed_slices(other, 3)
    keep = keeping(0, 3)[None]
    assert np.abs(probe(keep) - other(keep)).max() > 1e-4


def test_a_slice_hidden_in_the_percept_still_speaks_through_the_3d_tokens():
    probe, other = probe_of("med2e3"), probe_of("med2e3")
    none = keeping()[None]
    other.percept.features["tokens3d"] = -other.percept.features["tokens3d"]
    assert np.abs(probe(none) - other(none)).max() > 1e-4


def test_hidden_slices_of_the_input_hold_the_mean_of_the_volume():
    studies = asked(list(volumes(1)), QUESTIONS[:1], [0]).studies
    hidden = hide_in_input(studies, torch.from_numpy(keeping(2)[None])).voxels[0]
    torch.testing.assert_close(hidden[:, 2], studies.voxels[0][:, 2])
    torch.testing.assert_close(hidden[:, 3:].mean(), studies.voxels[0].mean())


def test_a_model_without_features_of_slices_says_so():
    with pytest.raises(TomovoxError, match="hide them in the input"):
        probe_of("m3d_lamed")(keeping(0)[None], "percept")


def test_two_series_are_refused():
    batch = asked(list(volumes(2)), QUESTIONS[:1], [0], study=[0, 0])
    with pytest.raises(TomovoxError, match="one series only"):
        SliceProbe(make("ms_vlm"), batch, ANSWERS[:1])


@both
def test_scrambled_weights_are_the_same_numbers_in_other_places(name):
    before, after = make(name), make(name)
    with scrambled(after, seed=1):
        assert changed_parts(before, after) == set(before.scoring_parts)
        for part in before.scoring_parts:
            pairs = zip(
                before.get_submodule(part).parameters(),
                after.get_submodule(part).parameters(),
                strict=True,
            )
            for old, new in pairs:
                torch.testing.assert_close(old.flatten().sort()[0], new.flatten().sort()[0])


@both
def test_scrambled_weights_are_put_back(name):
    before, after = make(name), make(name)
    with scrambled(after, seed=1):
        pass
    assert not changed_parts(before, after)


def test_another_seed_scrambles_otherwise():
    one, two = make("med2e3"), make("med2e3")
    with scrambled(one, seed=1), scrambled(two, seed=2):
        assert changed_parts(one, two)


def changed_parts(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    pairs = zip(before.named_parameters(), after.named_parameters(), strict=True)
    return {name.split(".")[0] for (name, old), (_, new) in pairs if not torch.equal(old, new)}


@both
def test_slice_scores_are_shares_of_one(name):
    batch = asked(list(volumes(2)), QUESTIONS[:3], [0, 1, 1])
    scores = make(name).predict_step(batch).slice_scores
    assert scores.shape == (3, 8) and float(scores.min()) >= 0
    torch.testing.assert_close(scores.sum(-1), torch.ones(3))


def test_a_padded_slice_gets_no_attention_of_ms_vlm_and_takes_none():
    model = make("ms_vlm")
    short, long = volumes(1, depth=3)[0], volumes(1, depth=11)[0]
    alone = model.predict_step(asked([short], QUESTIONS[:1], [0])).slice_scores
    beside = model.predict_step(asked([short, long], [QUESTIONS[0]] * 2, [0, 1])).slice_scores
    torch.testing.assert_close(beside[:1, :3], alone, **CLOSE)
    assert float(beside[0, 3:].abs().max()) == 0
