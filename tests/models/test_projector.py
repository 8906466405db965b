"""Do projector and pooling match what M3D-LaMed and Med-2E3 published?"""

import pytest
import torch

from tomovox.models.projector import PoolingProjector, linears, mlp, pool_grid, pool_sequence


def test_the_projector_of_m3d_lamed_phi3_has_11_802_624_parameters():
    with torch.device("meta"):
        projector = mlp(768, 3072)
    assert sum(p.numel() for p in projector.parameters()) == 11_802_624


def test_keys_are_those_of_the_released_projector():
    assert set(mlp(4, 6).state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_two_layers_have_an_exact_gelu_between_them():
    projector, x = mlp(4, 6), torch.randn(2, 3, 4)
    hidden = projector[0](x)
    exact = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
    torch.testing.assert_close(projector(x), projector[2](exact))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_depth_counts_the_linears(depth):
    linears = [m for m in mlp(4, 6, depth) if isinstance(m, torch.nn.Linear)]
    assert len(linears) == depth and linears[-1].out_features == 6


@pytest.mark.parametrize(("grid", "pool"), [((4, 4, 4), 2), ((2, 6, 4), 2), ((3, 3, 3), 3)])
def test_pooling_averages_neighbours_of_the_depth_major_grid(grid, pool):
    d, h, w = grid
    tokens = torch.randn(2, d * h * w, 5)
    pooled = pool_grid(tokens, grid, pool).view(2, d // pool, h // pool, w // pool, 5)
    cells = tokens.view(2, d, h, w, 5)
    for i in range(d // pool):
        for j in range(h // pool):
            for k in range(w // pool):
                a, b, c = (slice(s * pool, (s + 1) * pool) for s in (i, j, k))
                torch.testing.assert_close(pooled[:, i, j, k], cells[:, a, b, c].mean((1, 2, 3)))


def test_the_published_grid_pools_to_256_tokens():
    assert pool_grid(torch.zeros(1, 2048, 2), (8, 16, 16), 2).shape == (1, 256, 2)


def test_a_pool_of_one_changes_nothing():
    tokens = torch.randn(1, 8, 3)
    assert torch.equal(pool_grid(tokens, (2, 2, 2), 1), tokens)


def test_sequence_pooling_averages_consecutive_tokens_and_leaves_the_rest():
    tokens = torch.randn(2, 19, 3)
    expected = tokens[:, :16].view(2, 2, 8, 3).mean(2)
    torch.testing.assert_close(pool_sequence(tokens, 8), expected)


@pytest.mark.parametrize("pooling", ["spatial", "sequence"])
def test_both_poolings_of_the_published_projector_give_256_tokens(pooling):
    projector = PoolingProjector(6, 4, pooling=pooling)
    assert projector(torch.zeros(1, 2048, 6)).shape == (1, 256, 4)


def test_linear_layers_have_nothing_between_them():
    stack, x = linears(4, 6, 3), torch.randn(2, 4)
    torch.testing.assert_close(stack(x), stack[2](stack[1](stack[0](x))))
    assert len(stack) == 3 and stack[2].in_features == 6
