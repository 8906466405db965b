"""How likely is an answer, such as each choice of a closed question? It is read, not said.

Letters: r answers to all questions of a batch, t their tokens.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tomovox.models.decoding import Prefilled
from tomovox.models.language import Language
from tomovox.schema import Record

ChoiceAnswers = Callable[[Record], list[list[int]]]
"""Gives the ids of the answer with each choice of a record; none when it is not to be scored."""


def choice_logprobs(
    language: Language,
    prompts: Prefilled,
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
    language: Language, prompts: Prefilled, answers: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """Return the log-likelihoods (in nats) of the answers to each question, after its prompt.

    That of an answer is the sum over all its tokens, each given the true ones before it (teacher
    forcing), as the training loss counts them. `prompts` stay as they are and can be continued.
    """
    if not any(answers):
        return [[] for _ in answers]
    ids, read = _right_padded([ids for mine in answers for ids in mine], prompts.mask.device)
    times = torch.tensor([len(mine) for mine in answers], device=ids.device)
    owner = torch.arange(len(answers), device=ids.device).repeat_interleave(times)
    sums = iter(_summed(language, prompts.rows(owner), ids, read).tolist())
    return [[next(sums) for _ in mine] for mine in answers]


def _summed(
    language: Language,
    prompts: Prefilled,
    ids: Int[Tensor, "r t"],
    read: Bool[Tensor, "r t"],
) -> Float[Tensor, "r"]:
    """Return the log-likelihood of each answer after its own row of prompts; uses up the cache."""
    states = language.model.get_decoder()(
        inputs_embeds=language.embed(ids),
        attention_mask=torch.cat([prompts.mask, read], dim=1).long(),
        position_ids=prompts.position + 1 + torch.arange(ids.shape[1], device=ids.device),
        past_key_values=prompts.cache,
        use_cache=True,
    ).last_hidden_state
    # The state before a token says it: the prompt's last one says the first.
    before = torch.cat([prompts.state[:, None], states[:, :-1]], dim=1)
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
