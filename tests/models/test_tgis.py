"""Does TG-IS weigh slices as Med-2E3 writes it, and do its ablations keep the same form?"""

import pytest
import torch

from tomovox.models.tgis import (
    TextGuidedScoring,
    aggregate,
    keep_top,
    prior_scores,
    slab_of_slice,
    slice_keys,
    slice_scores,
)

PRIORS = ("uniform", "gaussian", "random")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scoring(**changes) -> TextGuidedScoring:
    torch.manual_seed(0)
    return TextGuidedScoring(6, 8, **changes)


@pytest.mark.parametrize(("n", "g"), [(8, 4), (32, 4), (7, 3), (4, 4), (2, 4)])
def test_a_slice_lies_in_the_slab_of_its_share_of_the_depth(n, g):
    assert slab_of_slice(n, g).tolist() == [(j * g) // n for j in range(n)]


@pytest.mark.parametrize(("n", "g", "m", "p"), [(8, 4, 3, 5), (7, 3, 1, 9), (4, 4, 6, 2)])
def test_a_key_is_the_mean_of_the_concatenated_tokens(n, g, m, p):
    slabs, slices = drawn(2, g, m, 8), drawn(2, n, p, 8, seed=1)
    keys = slice_keys(slabs, slices)
    for u in range(2):
        for j in range(n):
            tokens = [*slabs[u, (j * g) // n], *slices[u, j]]
            torch.testing.assert_close(keys[u, j], sum(tokens) / len(tokens))


@pytest.mark.parametrize("temperature", [0.1, 5.0, 100.0])
def test_every_row_of_scores_sums_to_one(temperature):
    scores = slice_scores(drawn(3, 7, 8), drawn(3, 8, seed=1), temperature)
    torch.testing.assert_close(scores.sum(-1), torch.ones(3))


def test_scores_are_the_softmax_of_dot_products_over_the_temperature():
    keys, query = drawn(1, 3, 8), drawn(1, 8, seed=1)
    powers = torch.stack([((key * query[0]).sum() / 5.0).exp() for key in keys[0]])
    torch.testing.assert_close(slice_scores(keys, query)[0], powers / powers.sum())


def test_scores_permute_with_their_slices_and_slabs():
    slabs, slices, query = drawn(1, 4, 3, 8), drawn(1, 8, 5, 8, seed=1), drawn(1, 8, seed=2)
    order = torch.tensor([2, 0, 3, 1])
    pairs = (2 * order[:, None] + torch.arange(2)).flatten()
    straight = slice_scores(slice_keys(slabs, slices), query)
    permuted = slice_scores(slice_keys(slabs[:, order], slices[:, pairs]), query)
    torch.testing.assert_close(permuted, straight[:, pairs])


def test_uniform_scores_give_the_mean():
    slices = drawn(2, 7, 5, 8)
    torch.testing.assert_close(aggregate(prior_scores("uniform", 2, 7, 0), slices), slices.mean(1))


def test_a_score_of_one_gives_its_slice():
    slices = drawn(1, 4, 5, 8)
    scores = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    torch.testing.assert_close(aggregate(scores, slices), slices[:, 2])


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
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]])
    kept = keep_top(scores, 2)
    assert kept[0].tolist() == [0.0, 0.5, 0.0, 0.5]
    assert kept[1, 0] == 0.5 and kept[1].sum() == 1.0


def test_keep_top_of_more_slices_than_there_are_keeps_all():
    assert keep_top(torch.tensor([[0.2, 0.8]]), 3).tolist() == [[0.5, 0.5]]


def test_in_eval_the_weights_are_the_scores():
    weights, scores = scoring(dropout=0.5).eval()(drawn(2, 7, 8), drawn(2, 6, seed=1))
    assert torch.equal(weights, scores)


def test_in_training_dropout_falls_after_the_softmax():
    weights, scores = scoring(dropout=0.5).train()(drawn(4, 32, 8), drawn(4, 6, seed=1))
    torch.testing.assert_close(scores.sum(-1), torch.ones(4))
    dropped = weights == 0
    assert dropped.any() and not dropped.all()
    torch.testing.assert_close(weights[~dropped], scores[~dropped] / 0.5)


@pytest.mark.parametrize("kind", PRIORS)
def test_an_ablation_does_not_read_the_question(kind):
    module, keys = scoring(scoring=kind).eval(), drawn(2, 7, 8)
    _, first = module(keys, drawn(2, 6, seed=1))
    _, second = module(keys, drawn(2, 6, seed=2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_method_reads_the_question(norm):
    module, keys = scoring(score_norm=norm).eval(), drawn(2, 7, 8)
    _, first = module(keys, drawn(2, 6, seed=1))
    _, second = module(keys, drawn(2, 6, seed=2))
    assert not torch.allclose(first, second)


def test_layer_norm_makes_the_scores_blind_to_the_scale_of_the_keys():
    module, keys, text = scoring(score_norm="layer").eval(), drawn(2, 7, 8), drawn(2, 6, seed=1)
    torch.testing.assert_close(module(keys, text)[1], module(100 * keys, text)[1])


def test_top_k_keeps_the_slices_that_the_method_scores_highest():
    keys, text = drawn(2, 7, 8), drawn(2, 6, seed=1)
    _, full = scoring().eval()(keys, text)
    _, kept = scoring(scoring="top_k", top_k=3).eval()(keys, text)
    assert torch.equal(kept, keep_top(full, 3))


def test_keep_top_shares_in_training_follow_the_scores():
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    kept = keep_top(scores, 2, hard=False)
    torch.testing.assert_close(kept, torch.tensor([[0.0, 4 / 7, 0.0, 3 / 7]]))


@pytest.mark.parametrize("kind", PRIORS)
def test_a_prior_trains_nothing(kind):
    assert not any(p.requires_grad for p in scoring(scoring=kind, score_norm="layer").parameters())
