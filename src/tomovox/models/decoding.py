"""How are the prompts of one volume continued? What they have in common is read once for all.

Letters: b rows, l positions, u studies, p positions of the opening, h width, n new tokens.
"""

from copy import copy
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tomovox.models.splice import Opening, Spliced
from tomovox.schema import Vocabulary


@runtime_checkable
class Speaker(Protocol):
    """What decoding needs of a language model: `model` is one of transformers'."""

    model: Any
    vocabulary: Vocabulary

    def embed(self, ids: Tensor) -> Tensor:
        """Return the input embeddings of ids."""

    def head(self, hidden: Tensor) -> Tensor:
        """Return next-token logits of hidden states."""


class Prefilled(NamedTuple):
    """Prompts that were read: keys and values of all positions, and the state after the last one.

    `mask` covers the positions of the cache, `position` is that of the last one among the seen.
    """

    cache: Any
    state: Float[Tensor, "b h"]
    mask: Bool[Tensor, "b l"]
    position: Int[Tensor, "b 1"]

    def rows(self, index: Int[Tensor, "k"]) -> "Prefilled":
        """Return these rows, which may repeat; to continue them leaves the cache as it is."""
        cache = copy(self.cache)
        cache.layers = [copy(layer) for layer in cache.layers]  # tensors are replaced, not filled
        cache.batch_select_indices(index)
        return Prefilled(cache, self.state[index], self.mask[index], self.position[index])


class Spoken(NamedTuple):
    """What greedy decoding gave: ids, and per row the mean state that said [SEG], if any did."""

    ids: Int[Tensor, "b n"]
    prompt: Float[Tensor, "b h"]
    draws: Bool[Tensor, "b"]


def prefill(speaker: Speaker, prompts: Spliced, opening: Opening | None = None) -> Prefilled:
    """Read left-padded prompts; what the rows of a study open with is read once and shared.

    Padding then stands between opening and rest, where every row still sees its opening.
    """
    if opening is None:
        return _read(speaker, None, prompts.embeds, prompts.mask, prompts.positions)
    device, p, begin = prompts.mask.device, opening.length, opening.first + opening.length
    _, study = opening.study.unique(return_inverse=True)
    row = (study == study.unique()[:, None]).long().argmax(1)  # any row of a study would do
    place = opening.start[row, None] + torch.arange(p, device=device)
    shared = prompts.mask[row[:, None], place]
    embeds = prompts.embeds[row[:, None], place]
    positions = (shared.long().cumsum(-1) - 1).clamp(min=0)
    read = _read(speaker, None, embeds, shared, positions)
    read.cache.batch_select_indices(study)
    after = torch.arange(begin, prompts.mask.shape[1], device=device)
    own = after >= opening.start[:, None] + p
    mask = torch.cat([shared[study], prompts.mask[:, begin:] & own], dim=1)
    return _read(speaker, read.cache, prompts.embeds[:, begin:], mask, prompts.positions[:, begin:])


def _read(
    speaker: Speaker, cache: Any, embeds: Tensor, mask: Tensor, positions: Tensor
) -> Prefilled:
    """Read embeds after what is cached; `mask` covers both."""
    from transformers import DynamicCache

    cache = DynamicCache(config=speaker.model.config) if cache is None else cache
    state = speaker.model.get_decoder()(
        inputs_embeds=embeds,
        attention_mask=mask.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
    return Prefilled(cache, state, mask, positions[:, -1:])


def speak(speaker: Speaker, prompts: Prefilled, max_new_tokens: int) -> Spoken:
    """Continue greedily until each row said eos; what follows an eos is pad. Uses up the cache.

    Rows that have ended leave the batch when half of it has.
    """
    vocabulary, device = speaker.vocabulary, prompts.mask.device
    cache, state, mask, position = prompts
    rows = torch.arange(len(mask), device=device)
    alive = torch.ones(len(mask), dtype=torch.bool, device=device)
    said: list[Tensor] = []
    drawn = state.new_zeros(state.shape, dtype=torch.float32)
    times = torch.zeros(len(state), dtype=torch.long, device=device)
    seg = -1 if vocabulary.seg is None else vocabulary.seg
    for number in range(max_new_tokens):
        token = speaker.head(state)[:, : vocabulary.size].argmax(-1)
        token = token.masked_fill(~alive, vocabulary.pad)
        said.append(torch.full_like(times, vocabulary.pad).index_copy(0, rows, token))
        draws = alive & (token == seg)
        drawn = drawn.index_add(0, rows, state.float() * draws[:, None])
        times = times.index_add(0, rows, draws.long())
        alive = alive & (token != vocabulary.eos)
        if number + 1 == max_new_tokens or not alive.any():
            break
        if not 2 * alive.sum() > len(alive):
            kept = alive.nonzero().flatten()
            cache.batch_select_indices(kept)
            rows, alive, token, mask, position = (
                x[kept] for x in (rows, alive, token, mask, position)
            )
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        cache, state, mask, position = _read(
            speaker, cache, speaker.embed(token[:, None]), mask, position + 1
        )
    ids = torch.stack(said, dim=1) if said else rows.new_empty(len(rows), 0)
    return Spoken(ids, drawn / times.clamp(min=1)[:, None], times > 0)
