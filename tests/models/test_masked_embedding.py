"""Are hidden slices told from the shown ones, and nothing else?"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import seed_everything
from tiny_models import make, vision2d, zformer

from tomovox.models.masked_embedding import (
    MaskedEmbedding,
    MaskingConfig,
    hidden_slices,
    masked_loss,
    visible_mean,
)
from tomovox.models.part_training import save_part
from tomovox.models.percepts import PerceptsConfig, perceived
from tomovox.models.slice_reading import percept_of
from tomovox.models.weights import save_tensors
from tomovox.schema import Studies, TomovoxError


def made(seed: int = 0, **masking) -> MaskedEmbedding:
    seed_everything(seed, verbose=False)
    module = MaskedEmbedding(vision2d(), zformer(), MaskingConfig(**masking))
    module.configure_model()
    module.log_dict = lambda *_, **__: None
    return module


def studies(*depths: int, study: list[int] | None = None, seed: int = 0) -> Studies:
    draws = torch.Generator().manual_seed(seed)
    voxels = [torch.rand(1, depth, 16, 16, generator=draws) for depth in depths]
    return Studies(voxels, torch.tensor(study or list(range(len(depths)))))


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the loss --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["l1", "smooth_l1"])
def test_a_perfect_copy_costs_nothing(kind):
    cls, hidden = some(2, 6, 4), some(2, 6) < 0.5
    assert float(masked_loss(cls.clone(), cls, hidden, kind)) == 0


@pytest.mark.parametrize("kind", ["l1", "smooth_l1"])
def test_what_is_guessed_of_slices_that_were_shown_changes_nothing(kind):
    guesses, cls, hidden = some(2, 6, 4), some(2, 6, 4, seed=1), some(2, 6) < 0.5
    other = torch.where(hidden[..., None], guesses, torch.full_like(guesses, 9.0))
    assert masked_loss(guesses, cls, hidden, kind) == masked_loss(other, cls, hidden, kind)


def test_the_loss_is_the_mean_distance_of_hidden_entries():
    guesses, cls = torch.zeros(1, 3, 2), torch.tensor([[[1.0, 3.0], [5.0, 5.0], [2.0, 0.0]]])
    assert float(masked_loss(guesses, cls, torch.tensor([[True, False, True]]))) == 1.5


def test_a_batch_in_which_nothing_is_hidden_costs_nothing_and_has_a_gradient():
    guesses = some(1, 3, 2).requires_grad_()
    masked_loss(guesses, some(1, 3, 2), torch.zeros(1, 3, dtype=torch.bool)).backward()
    assert not guesses.grad.any()


# ---- what is hidden --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    depths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    share=st.floats(0.05, 0.95),
    span=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_a_study_of_several_slices_keeps_one_shown_and_one_hidden(depths, share, span, seed):
    seen = torch.arange(max(depths)) < torch.tensor(depths)[:, None]
    hidden = hidden_slices(seen, share, span, torch.Generator().manual_seed(seed))
    assert not bool((hidden & ~seen).any())
    for row, depth in zip(hidden, depths, strict=True):
        assert (1 <= int(row.sum()) < depth) if depth > 1 else not bool(row.any())


def test_about_the_share_is_hidden_and_spans_hide_neighbours_together():
    seen = torch.ones(50, 200, dtype=torch.bool)
    for span in (1, 8):
        hidden = hidden_slices(seen, 0.3, span, torch.Generator().manual_seed(0))
        assert float(hidden.float().mean()) == pytest.approx(0.3, abs=0.03)
        alike = (hidden[:, 1:] == hidden[:, :-1]).float().mean()
        # Neighbours of two runs are alike by chance: 0.3^2 + 0.7^2.
        assert float(alike) == pytest.approx(1 - (1 - 0.58) / span, abs=0.03)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"span": 0}])
def test_a_mask_that_hides_nothing_or_all_is_refused(wrong):
    with pytest.raises(TomovoxError, match="masking"):
        MaskingConfig(**wrong)


# ---- what the Z-former knows -----------------------------------------------------------------


@pytest.mark.parametrize("token", ["learned", "zeros"])
def test_the_vector_of_a_hidden_slice_changes_no_guess(token):
    module = made(token=token).eval()
    features = module.perceive(studies(6, 4)).features
    hidden = hidden_slices(features["seen"], 0.3, 1, torch.Generator().manual_seed(0))
    other = torch.where(hidden[..., None], torch.full_like(features["cls"], 7.0), features["cls"])
    guesses = [module.guesses({**features, "cls": cls}, hidden) for cls in (features["cls"], other)]
    assert torch.equal(*guesses)


def test_a_shown_slice_changes_the_guess_of_a_hidden_one():
    module = made().eval()
    features = module.perceive(studies(6)).features
    hidden = torch.zeros(1, 6, dtype=torch.bool)
    hidden[0, 2] = True
    other = features["cls"].clone()
    other[0, 4] += 1.0
    one, two = (
        module.guesses({**features, "cls": cls}, hidden) for cls in (features["cls"], other)
    )
    assert not torch.allclose(one[0, 2], two[0, 2])


def test_the_guess_to_beat_is_the_mean_of_the_shown_slices():
    cls, shown = some(2, 5, 3), some(2, 5) < 0.6
    means = visible_mean(cls, shown)
    torch.testing.assert_close(means[1, 0], cls[1][shown[1]].mean(0))
    assert torch.equal(means[:, 0], means[:, 4])


# ---- what trains -----------------------------------------------------------------------------


def test_z_former_token_and_guess_train_and_the_slice_encoder_does_not():
    module = made().train()
    module.training_step(studies(6, 5), 0).backward()
    got = {name.partition(".")[0] for name, p in module.named_parameters() if p.grad is not None}
    assert got == {"zformer", "guess", "token"}
    assert not module.vision2d.training
    assert not any(p.requires_grad for p in module.vision2d.parameters())


def test_zeros_are_no_parameter():
    assert "token" not in dict(made(token="zeros").named_parameters())


def test_the_loss_falls_below_that_of_the_mean():
    """Slices that follow from their place and their study's brightness."""
    module = made(loss="l1", share=0.4)
    level = some(16, 1, 1, seed=3)
    cls = torch.sin(torch.linspace(0, 3, 8)[None, :, None] * torch.arange(1, 33)) * level
    features = module.perceive(studies(*[8] * 16)).features | {"cls": cls}
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=3e-3)
    for step in range(150):
        hidden = hidden_slices(features["seen"], 0.4, 1, torch.Generator().manual_seed(step))
        loss = masked_loss(module.guesses(features, hidden), cls, hidden)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mean = masked_loss(visible_mean(cls, features["seen"] & ~hidden), cls, hidden)
    assert float(loss.detach()) < 0.5 * float(mean)


def test_validation_hides_the_same_slices_every_time():
    module, figures = made().eval(), []
    module.log_dict = lambda given, **_: figures.append(given["val/loss"])
    torch.manual_seed(1)
    for _ in range(2):
        module.validation_step(studies(6, 5), 3)
    assert figures[0] == figures[1]


# ---- vectors that were kept ------------------------------------------------------------------


def test_vectors_that_were_kept_are_read_as_those_made_at_once():
    module = made().eval()
    whole = studies(9, 4, 6, study=[0, 0, 1])
    vectors = [module.vision2d(volume[0][:, None])[0] for volume in whole.voxels]
    kept = percept_of(vectors, whole, module.zformer_config)
    for name, feature in module.perceive(whole).features.items():
        torch.testing.assert_close(kept.features[name], feature)


def test_ms_vlm_finds_on_disk_what_this_stage_perceived(tmp_path):
    encoder, kept = vision2d().build(), PerceptsConfig(str(tmp_path / "kept"))
    save_tensors(encoder.state_dict(), tmp_path / "model.safetensors")
    same = vision2d(weights=str(tmp_path))
    module = MaskedEmbedding(same, zformer(), percepts=kept)
    module.configure_model()
    first = perceived(module, studies(6, 4))
    model = make("ms_vlm", vision2d=same, zformer=zformer(layers=2), percepts=kept)
    again = perceived(model, studies(6, 4))
    assert (model.percepts.found, model.percepts.made) == (2, 0)
    for name, feature in first.features.items():
        assert torch.equal(again.features[name], feature)


def test_what_is_kept_is_a_z_former_as_a_model_reads_it(tmp_path):
    module = made(seed=3)
    save_part(module, tmp_path / "model.safetensors")
    loaded = zformer(weights=str(tmp_path)).build(module.vision2d.width)
    for name, value in module.zformer.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
