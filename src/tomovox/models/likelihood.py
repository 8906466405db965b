"""How likely is an answer, such as each choice of a closed question? It is read, not said.

Letters: r answers to all questions of a batch, t their tokens.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tomovox.models.language import Language
from tomovox.models.splice import Spliced
from tomovox.schema import Record

ChoiceAnswers = Callable[[Record], list[list[int]]]
"""Gives the ids of the answer with each choice of a record; none when it is not to be scored."""


def choice_logprobs(
    language: Language,
    prompts: Spliced,
    records: Sequence[Record],
    answers_of: ChoiceAnswers | None,
) -> list[list[float]] | None:
    """Return the log-likelihoods of the answers that `answers_of` gives of each record.

    A question without answers gets an empty list; None when nothing gives answers.
    """
    if answers_of is None:
        return None
    return answer_logprobs(language, prompts, [answers_of(record) for record in records])


@torch.no_grad()
def answer_logprobs(
    language: Language, prompts: Spliced, answers: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """Return the log-likelihoods (in nats) of the answers to each question, after its prompt.

    That of an answer is the sum over all its tokens, each given the true ones before it (teacher
    forcing), as the training loss counts them. `prompts` are padded on the left; each is read once,
    whatever the number of its answers.
    """
    asked = [row for row, mine in enumerate(answers) if mine]
    if not asked:
        return [[] for _ in answers]
    ids, read = _right_padded([ids for mine in answers for ids in mine], prompts.mask.device)
    counts = [len(answers[row]) for row in asked]
    closed = Spliced(prompts.embeds[asked], prompts.mask[asked], None)
    sums = iter(_summed(language, closed, ids, read, counts).tolist())
    return [[next(sums) for _ in mine] for mine in answers]


def _summed(
    language: Language,
    prompts: Spliced,
    ids: Int[Tensor, "r t"],
    read: Bool[Tensor, "r t"],
    counts: Sequence[int],
) -> Float[Tensor, "r"]:
    """Return the log-likelihood of each answer; `counts` of them belong to each prompt in turn."""
    from transformers import DynamicCache

    body = language.model.get_decoder()
    cache = DynamicCache(config=language.model.config)
    last = body(
        inputs_embeds=prompts.embeds,
        attention_mask=prompts.mask.long(),
        position_ids=prompts.positions,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1:]
    times = torch.tensor(counts, device=ids.device)
    owner = torch.arange(len(counts), device=ids.device).repeat_interleave(times)
    cache.batch_select_indices(owner)
    after = 1 + torch.arange(ids.shape[1], device=ids.device)
    states = body(
        inputs_embeds=language.embed(ids),
        attention_mask=torch.cat([prompts.mask[owner], read], dim=1).long(),
        position_ids=prompts.positions[owner, -1:] + after,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    # The state before a token says it: the prompt's last one says the first.
    before = torch.cat([last[owner], states[:, :-1]], dim=1)
    logprobs = language.head(before[read]).log_softmax(-1)
    said = logprobs.gather(-1, ids[read][:, None])[:, 0]
    return torch.zeros(read.shape, device=ids.device).masked_scatter(read, said).sum(-1)


def _right_padded(
    answers: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "r t"], Bool[Tensor, "r t"]]:
    """Return the answers as one tensor and the mask of what is not padding."""
    width = max(map(len, answers))
    ids = torch.tensor([[*mine, *[0] * (width - len(mine))] for mine in answers], device=device)
    lengths = torch.tensor([len(mine) for mine in answers], device=device)
    return ids, torch.arange(width, device=device) < lengths[:, None]
