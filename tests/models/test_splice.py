"""Do visual tokens land where the placeholder stood, and nothing else move?"""

import pytest
import torch

from tomovox.models.splice import Spliced, lay_out, splice
from tomovox.schema import IGNORE, VisualTokens

B, T, V, H = 2, 5, 3, 4


def text_and_visual(v: int = V) -> tuple[torch.Tensor, torch.Tensor]:
    """Return text vectors (b t h) of 0, 1, 2 ... and visual vectors (b v h) of -1, -2, ..."""
    text = torch.arange(float(B * T)).view(B, T, 1).expand(-1, -1, H)
    visual = -1 - torch.arange(float(B * v)).view(B, v, 1).expand(-1, -1, H)
    return text, visual


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


@pytest.mark.parametrize("places", [[0, 0], [2, 4], [4, 1]])
def test_visual_vectors_replace_the_placeholder(places):
    text, visual = text_and_visual()
    spliced = splice(text, ones(B, T), None, torch.tensor(places), visual, ones(B, V))
    for i, place in enumerate(places):
        wanted = torch.cat([text[i, :place], visual[i], text[i, place + 1 :]])
        assert torch.equal(spliced.embeds[i], wanted)


def test_labels_move_with_their_text_and_visual_positions_carry_none():
    text, visual = text_and_visual()
    labels = torch.tensor([[IGNORE, IGNORE, 7, 8, 9], [IGNORE, 1, 2, 3, IGNORE]])
    spliced = splice(text, ones(B, T), labels, torch.tensor([1, 0]), visual, ones(B, V))
    silent = [IGNORE] * V
    assert spliced.labels.tolist() == [[IGNORE, *silent, 7, 8, 9], [*silent, 1, 2, 3, IGNORE]]


def test_a_prompt_without_labels_stays_without():
    text, visual = text_and_visual()
    assert splice(text, ones(B, T), None, torch.tensor([0, 0]), visual, ones(B, V)).labels is None


def test_masks_of_text_and_visual_tokens_are_spliced_like_their_vectors():
    text, visual = text_and_visual()
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]]).bool()
    seen = torch.tensor([[1, 0, 1], [1, 1, 1]]).bool()
    spliced = splice(text, mask, None, torch.tensor([2, 0]), visual, seen)
    assert spliced.mask.int().tolist() == [[0, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0]]


def test_no_visual_tokens_only_remove_the_placeholder():
    text, visual = text_and_visual(0)
    labels = torch.arange(B * T).view(B, T)
    spliced = splice(text, ones(B, T), labels, torch.tensor([0, 3]), visual, ones(B, 0))
    assert torch.equal(spliced.embeds[0], text[0, 1:])
    assert spliced.labels.tolist() == [[1, 2, 3, 4], [5, 6, 7, 9]]


def test_positions_start_at_zero_after_left_padding():
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).bool()
    positions = Spliced(torch.zeros(2, 5, H), mask, None).positions
    assert positions.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]


def test_positions_of_right_padded_rows_count_the_seen_tokens():
    mask = torch.tensor([[1, 1, 1, 0, 0]]).bool()
    assert Spliced(torch.zeros(1, 5, H), mask, None).positions[0, :3].tolist() == [0, 1, 2]


def test_a_hidden_visual_token_takes_no_position():
    mask = torch.tensor([[1, 1, 0, 1]]).bool()
    assert Spliced(torch.zeros(1, 4, H), mask, None).positions[0, [0, 1, 3]].tolist() == [0, 1, 2]


def test_left_and_right_padding_give_the_same_seen_tokens_and_positions():
    row, visual = torch.randn(1, 3, H), torch.randn(1, V, H)
    pad = torch.zeros(1, 2, H)
    left, right = torch.cat([pad, row], 1), torch.cat([row, pad], 1)
    mask = torch.tensor([[0, 0, 1, 1, 1]]).bool()
    a = splice(left, mask, None, torch.tensor([2]), visual, ones(1, V))
    b = splice(right, mask.flip(1), None, torch.tensor([0]), visual, ones(1, V))
    assert torch.equal(a.embeds[a.mask], b.embeds[b.mask])
    assert torch.equal(a.positions[a.mask], b.positions[b.mask])


def test_shared_tokens_follow_the_study_and_own_tokens_the_question():
    shared, own = torch.randn(2, 3, H), torch.randn(3, 1, H)
    tokens, mask = lay_out(VisualTokens(shared=shared, own=own), torch.tensor([1, 0, 1]))
    assert torch.equal(tokens, torch.cat([shared[[1, 0, 1]], own], dim=1))
    assert mask.all()


def test_masks_are_laid_out_like_their_tokens():
    shared_mask = torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    own_mask = torch.tensor([[1], [0]]).bool()
    visual = VisualTokens(torch.zeros(2, 3, H), shared_mask, torch.zeros(2, 1, H), own_mask)
    _, mask = lay_out(visual, torch.tensor([1, 0]))
    assert mask.int().tolist() == [[1, 0, 0, 1], [1, 1, 0, 0]]
