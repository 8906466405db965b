"""Does TG-IS weigh slices as Med-2E3 writes it, and do its ablations keep the same form?"""

from typing import get_args

import pytest
import torch
from torch.overrides import TorchFunctionMode

from tomovox.models import tgis
from tomovox.models.projector import mlp
from tomovox.models.tgis import (
    ByStudy,
    RunningSum,
    Scoring,
    TextGuidedScoring,
    keep_top,
    prior_scores,
    slab_of_slice,
    slice_keys,
    slice_logits,
)

PRIORS = ("uniform", "gaussian", "random")
SCORINGS = get_args(Scoring)
STUDY = [1, 0, 1, 1]
"""The studies that four questions ask about; a third study is asked about by none."""


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scoring(**changes) -> TextGuidedScoring:
    torch.manual_seed(0)
    return TextGuidedScoring(6, 8, **changes)


class Read:
    """A scoring that reads three studies of 4 slabs and `n` slices, with a connector of its own."""

    def __init__(self, n: int = 7, study: list[int] = STUDY, **changes):
        self.module = scoring(**changes)
        torch.manual_seed(1)
        self.connector = mlp(5, 8)
        self.slabs, self.slices = drawn(3, 4, 3, 8), drawn(3, n, 2, 5, seed=1)
        self.text, self.study = drawn(len(study), 6, seed=2), torch.tensor(study)
        self.leaves = [self.slabs, self.slices, self.text]

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what this suite computes."""
        torch.manual_seed(3)
        return self.module(self.slabs, self.slices, self.connector, self.text, self.study)

    def plainly(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the released code does: all tokens projected, joined and multiplied."""
        torch.manual_seed(3)
        module, n = self.module, self.slices.shape[1]
        tokens, slabs = self.connector(self.slices)[self.study], self.slabs[self.study]
        if module.reads_question:
            deep = slabs[:, slab_of_slice(n, 4)]
            keys = module.norm_keys(torch.cat([deep, tokens], dim=2).mean(2))
            query = module.norm_query(module.text_mlp(self.text))
            scores = ((keys @ query[..., None])[..., 0] / module.temperature).softmax(-1)
        else:
            scores = prior_scores(module.scoring, len(self.text), n, module.seed)
        if module.scoring == "top_k":
            kept, index = scores.topk(module.top_k)
            even = torch.full_like(kept, 1 / module.top_k)
            shares = kept / kept.sum(-1, keepdim=True) if module.training else even
            scores = torch.zeros_like(scores).scatter(-1, index, shares)
        return (tokens * module.dropout(scores)[..., None, None]).sum(1), scores

    def gradients(self, found: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor | None]:
        """Return the gradients of weights and inputs, of a sum that reads both outputs."""
        own, scores = found
        loss = (own * drawn(*own.shape, seed=4)).sum() + (scores * drawn(*scores.shape)).sum()
        of = [*self.leaves, *self.connector.parameters(), *self.module.parameters()]
        return torch.autograd.grad(loss, [x.requires_grad_() for x in of], allow_unused=True)


# ---- the same numbers as the released way ----------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 50, tgis.AT_ONCE])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("kind", SCORINGS)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_tokens_and_scores_are_those_of_the_released_way(kind, norm, at_once, mode, monkeypatch):
    monkeypatch.setattr(tgis, "AT_ONCE", at_once)
    read = Read(scoring=kind, score_norm=norm, dropout=0.4)
    read.module.train(mode == "train")
    for ours, plain in zip(read(), read.plainly(), strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, tgis.AT_ONCE])
@pytest.mark.parametrize("kind", SCORINGS)
def test_gradients_are_those_of_the_released_way(kind, at_once, monkeypatch):
    monkeypatch.setattr(tgis, "AT_ONCE", at_once)
    read = Read(scoring=kind, dropout=0.4)
    read.leaves = [x.requires_grad_() for x in read.leaves]
    for p in (*read.module.parameters(), *read.connector.parameters()):
        p.requires_grad_()
    read.module.train()
    for ours, plain in zip(read.gradients(read()), read.gradients(read.plainly()), strict=True):
        assert (ours is None or not ours.any()) == (plain is None or not plain.any())
        if ours is not None and plain is not None:
            torch.testing.assert_close(ours, plain, atol=5e-6, rtol=1e-4)


def test_in_bfloat16_the_tokens_stay_so_and_close_to_float32(monkeypatch):
    monkeypatch.setattr(tgis, "AT_ONCE", 1)
    read = Read()
    read.module.eval()
    wide, _ = read()
    for part in (read.module, read.connector):
        part.bfloat16()
    read.slabs, read.slices, read.text = (x.bfloat16() for x in read.leaves)
    narrow, scores = read()
    assert narrow.dtype == torch.bfloat16 and scores.dtype == torch.float32
    torch.testing.assert_close(narrow.float(), wide, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_running_sum_is_the_softmax_s_at_every_scale_of_the_logits(scale):
    logits, kept, tokens = scale * drawn(2, 3, 9), drawn(2, 3, 9, seed=1), drawn(2, 9, 4, 5, seed=2)
    total = RunningSum()
    for part in (slice(0, 1), slice(1, 5), slice(5, 9)):
        total.add(logits[..., part], kept[..., part], tokens[:, part])
    weights = logits.softmax(-1) * kept
    summed, weight = total.result()
    torch.testing.assert_close(summed, torch.einsum("ukn,unpd->ukpd", weights, tokens))
    torch.testing.assert_close(weight, weights.sum(-1, keepdim=True))


def test_hidden_tokens_are_there_for_some_slices_at_a_time(monkeypatch):
    monkeypatch.setattr(tgis, "AT_ONCE", 3 * 2 * 8 * 4)  # 4 slices of 3 studies
    read, widest = Read(n=32), []

    class Watched(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor) and found.ndim == 4:
                widest.append(found.shape[1] * found.shape[2])
            return found

    with torch.no_grad(), Watched():
        read()
    assert max(widest) == 4 * 2


def test_questions_are_laid_out_by_study_and_back():
    asked = ByStudy.of(torch.tensor(STUDY), 3)
    rows = drawn(4, 5)
    laid = asked.lay(rows)
    assert laid.shape == (3, 3, 5) and not laid[2].any() and not laid[0, 1:].any()
    assert torch.equal(asked.rows(laid), rows)


# ---- the formula -----------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "g"), [(8, 4), (32, 4), (7, 3), (4, 4), (2, 4)])
def test_a_slice_lies_in_the_slab_of_its_share_of_the_depth(n, g):
    assert slab_of_slice(n, g).tolist() == [(j * g) // n for j in range(n)]


@pytest.mark.parametrize(("m", "p"), [(3, 5), (1, 9), (6, 2)])
def test_a_key_is_the_mean_of_the_concatenated_tokens(m, p):
    slabs, slices = drawn(2, 4, m, 8), drawn(2, 4, p, 8, seed=1)
    keys = slice_keys(slabs.mean(2), slices.mean(2), m, p)
    torch.testing.assert_close(keys, torch.cat([slabs, slices], dim=2).mean(2))


def test_logits_are_dot_products_over_the_temperature():
    keys, query = drawn(1, 3, 8), drawn(1, 2, 8, seed=1)
    plain = torch.stack([(keys[0] * q).sum(-1) / 5.0 for q in query[0]])
    torch.testing.assert_close(slice_logits(keys, query)[0], plain)


@pytest.mark.parametrize("temperature", [0.1, 5.0, 100.0])
def test_every_row_of_scores_sums_to_one(temperature):
    _, scores = Read(temperature=temperature)()
    torch.testing.assert_close(scores.sum(-1), torch.ones(4))


def test_scores_permute_with_their_slices_and_slabs():
    read = Read(n=8)
    _, straight = read()
    order = torch.tensor([2, 0, 3, 1])
    pairs = (2 * order[:, None] + torch.arange(2)).flatten()
    read.slabs, read.slices = read.slabs[:, order], read.slices[:, pairs]
    torch.testing.assert_close(read()[1], straight[:, pairs])


def test_uniform_scores_give_the_mean():
    read = Read(scoring="uniform", dropout=0.0)
    torch.testing.assert_close(read()[0], read.connector(read.slices).mean(1)[read.study])


def test_a_score_of_one_gives_its_slice():
    read = Read(scoring="top_k", top_k=1)
    read.module.eval()
    own, scores = read()
    slices = read.connector(read.slices)[read.study, scores.argmax(-1)]
    torch.testing.assert_close(own, slices)


@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize("n", [1, 7, 32])
def test_priors_sum_to_one_and_are_the_same_for_every_question(kind, n):
    scores = prior_scores(kind, 3, n, 0)
    torch.testing.assert_close(scores.sum(-1), torch.ones(3))
    assert torch.equal(scores[0], scores[2])


def test_the_gaussian_prior_is_symmetric_and_highest_at_the_centre():
    row = prior_scores("gaussian", 1, 9, 0)[0]
    torch.testing.assert_close(row, row.flip(0))
    assert row.argmax() == 4


def test_the_random_prior_follows_from_its_seed():
    first, again, other = (prior_scores("random", 1, 9, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_method_is_no_prior():
    with pytest.raises(ValueError, match="reads the question"):
        prior_scores("tgis", 1, 9, 0)


def test_keep_top_shares_the_weight_among_the_highest():
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]]).log()
    kept = keep_top(logits, 2).softmax(-1)
    assert kept[0].tolist() == [0.0, 0.5, 0.0, 0.5]
    assert kept[1, 0] == 0.5 and kept[1].sum() == 1.0


def test_keep_top_of_more_slices_than_there_are_keeps_all():
    assert keep_top(torch.tensor([[0.2, 0.8]]), 3).softmax(-1).tolist() == [[0.5, 0.5]]


def test_keep_top_shares_in_training_follow_the_scores():
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    kept = keep_top(logits, 2, hard=False).softmax(-1)
    torch.testing.assert_close(kept, torch.tensor([[0.0, 4 / 7, 0.0, 3 / 7]]))


def test_in_training_dropout_changes_the_tokens_and_not_the_scores():
    read = Read(dropout=0.5)
    own, scores = read()
    read.module.eval()
    others, same = read()
    torch.testing.assert_close(scores, same)
    assert not torch.allclose(own, others)


@pytest.mark.parametrize("kind", PRIORS)
def test_an_ablation_does_not_read_the_question(kind):
    read = Read(scoring=kind)
    _, first = read()
    read.text = drawn(4, 6, seed=9)
    assert torch.equal(first, read()[1])


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_method_reads_the_question(norm):
    read = Read(score_norm=norm)
    _, first = read()
    read.text = drawn(4, 6, seed=9)
    assert not torch.allclose(first, read()[1])


def test_layer_norm_makes_the_scores_blind_to_the_scale_of_the_keys():
    read = Read(score_norm="layer")
    _, first = read()
    read.slabs = 100 * read.slabs
    with torch.no_grad():
        for p in read.connector[-1].parameters():
            p.mul_(100)
    torch.testing.assert_close(read()[1], first, atol=1e-4, rtol=1e-3)


def test_top_k_keeps_the_slices_that_the_method_scores_highest():
    method, probe = Read(), Read(scoring="top_k", top_k=3)
    probe.module.eval()
    kept = probe()[1] > 0
    assert torch.equal(kept, keep_top(method()[1].log(), 3).softmax(-1) > 0)


@pytest.mark.parametrize("kind", PRIORS)
def test_a_prior_trains_nothing(kind):
    assert not any(p.requires_grad for p in scoring(scoring=kind, score_norm="layer").parameters())
