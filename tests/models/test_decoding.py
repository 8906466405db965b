"""Do questions that share what they open with say what each says alone, to the token?"""

from dataclasses import replace

import pytest
import torch
from test_drawing import DRAWS, drawer
from tiny_models import CLOSE, MAKERS, VOCABULARY, asked, language, make, volumes

from tomovox.models import splice
from tomovox.models.base import VolumeLM
from tomovox.models.decoding import Prefilled
from tomovox.models.halving import rows_of
from tomovox.schema import Batch, Percept, Questions

NAMES = sorted(MAKERS)
SYSTEM = [31, 32, 33]
SEEDS = (5, 12, 20)
"""Seeds of batches; every one has questions of other lengths, in another order of studies."""


@pytest.fixture(autouse=True)
def every_position_is_worthwhile(monkeypatch):
    monkeypatch.setattr(splice, "WORTHWHILE", 1)


def wide(name: str, **changes) -> VolumeLM:
    """Return a model that does not say one token again and again, and ends some answers."""
    body = language()
    body.architecture |= {"initializer_range": 0.5}
    return make(name, language=body, **changes)


def batch_from(seed: int, studies: int = 2, before: int = 0, common: int = 2) -> Batch:
    """Return seven questions: system words, placeholder, common words, and words of their own."""
    draws = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (7,), generator=draws).tolist()
    words = [torch.randint(2, 30, (n,), generator=draws).tolist() for n in lengths]
    asks = (torch.randperm(7, generator=draws) % studies).tolist()
    rows = [[34, 35][:common] + own for own in words]
    batch = asked(list(volumes(studies, seed)), rows, asks)
    return with_system(batch, SYSTEM[:before])


def with_system(batch: Batch, system: list[int]) -> Batch:
    """Return a batch whose prompts begin with these ids."""
    ids, mask = batch.input_ids, batch.attention_mask
    count, width = ids.shape
    wider = torch.full((count, width + len(system)), VOCABULARY.pad)
    seen = torch.zeros_like(wider, dtype=torch.bool)
    for row in range(count):
        whole = torch.tensor(system + ids[row, mask[row]].tolist())
        wider[row, -len(whole) :], seen[row, -len(whole) :] = whole, True
    return replace(batch, input_ids=wider, attention_mask=seen)


def alone(batch: Batch, row: int) -> Batch:
    """Return one question of a batch about one volume, without any padding."""
    part = rows_of(batch, slice(row, row + 1))
    kept, study = part.attention_mask[0], int(part.questions.study[0])
    asks, read = part.questions, part.questions.mask[0]
    questions = Questions(asks.text, asks.ids[:, read], asks.mask[:, read], torch.tensor([0]))
    studies = replace(
        part.studies, voxels=[part.studies.voxels[study]], study=torch.tensor([0]), plane=[""]
    )
    return replace(
        part,
        studies=replace(studies, phase=[""]),
        questions=questions,
        input_ids=part.input_ids[:, kept],
        attention_mask=part.attention_mask[:, kept],
    )


def answers(ids: torch.Tensor, eos: int) -> list[list[int]]:
    rows = ids.tolist()
    return [row[: row.index(eos)] if eos in row else row for row in rows]


def without_cache(model: VolumeLM, batch: Batch, lengths: list[int]) -> list[list[int]]:
    """Return what rows say when every token is read again, with no cache object at all."""
    spliced, _ = model.read(batch)
    said: list[list[int]] = [[] for _ in range(len(spliced.mask))]
    for row, tokens in enumerate(said):
        embeds = spliced.embeds[row : row + 1, spliced.mask[row]]
        for _ in range(lengths[row]):
            mask = torch.ones(embeds.shape[:2], dtype=torch.bool)
            logits = model.language.logits(splice.Spliced(embeds, mask, None))[0, -1]
            tokens.append(int(logits[: VOCABULARY.size].argmax()))
            word = model.language.embed(torch.tensor([[tokens[-1]]]))
            embeds = torch.cat([embeds, word], dim=1)
    return said


def passes(model: VolumeLM, monkeypatch) -> list[tuple[int, int]]:
    """Return a list that is filled with (rows, positions) of every pass of the language model."""
    seen, body = [], model.language.model.get_decoder()
    forward = body.forward

    def noted(**arguments):
        seen.append(tuple(arguments["inputs_embeds"].shape[:2]))
        return forward(**arguments)

    monkeypatch.setattr(body, "forward", noted)
    return seen


# ---- the same tokens as one question at a time -------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("before", [0, 3])
def test_a_batch_says_what_each_question_says_alone(name, seed, before):
    model, batch = wide(name), batch_from(seed, before=before)
    model.language.vocabulary = replace(VOCABULARY, eos=int(model.predict_step(batch).ids[0, 1]))
    together = answers(model.predict_step(batch).ids, model.language.vocabulary.eos)
    for row, said in enumerate(together):
        one = model.predict_step(alone(batch, row)).ids
        assert answers(one, model.language.vocabulary.eos) == [said]


@torch.no_grad()
@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_says_what_is_said_without_any_cache(name, seed):
    model, batch = wide(name), batch_from(seed, studies=1, before=2)
    model.language.vocabulary = replace(VOCABULARY, eos=-1)  # so that every row is as long
    said = model.predict_step(batch).ids.tolist()
    assert said == without_cache(model, batch, [model.max_new_tokens] * len(said))


@pytest.mark.parametrize("name", NAMES)
def test_with_a_mask_head_states_and_tokens_are_those_of_each_question_alone(name):
    model, batch = drawer(name), batch_from(3)
    said = model.predict_step(batch).ids
    model.language.vocabulary = replace(DRAWS, seg=int(said[0, 0]))
    shown = torch.zeros(7, 1, 8, 16, 16, dtype=torch.bool)
    whole = model.predict_step(replace(batch, masks=shown, mask_rows=torch.arange(7)))
    assert bool(whole.mask_logits.isfinite().any())
    for row in range(7):
        mine = replace(alone(batch, row), masks=shown[:1], mask_rows=torch.tensor([0]))
        one = model.predict_step(mine)
        assert answers(one.ids, 1) == answers(whole.ids[row : row + 1], 1)
        torch.testing.assert_close(one.mask_logits, whole.mask_logits[row : row + 1], **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_choices_are_as_likely_as_to_each_question_alone(name, seed):
    model, batch = wide(name), batch_from(seed)
    model.choice_answers = lambda r: [[20, 1], [21, 22, 23, 1], [24, 1]][: int(r.id[-1]) % 4]
    together = model.predict_step(batch).choice_logprobs
    for row, found in enumerate(together):
        (one,) = model.predict_step(alone(batch, row)).choice_logprobs
        torch.testing.assert_close(torch.tensor(found), torch.tensor(one), **CLOSE)


def test_scoring_choices_changes_no_answer(name):
    model, batch = wide(name), batch_from(4)
    plain = model.predict_step(batch).ids
    model.choice_answers = lambda _: [[20, 1], [21, 22, 1]]
    assert torch.equal(model.predict_step(batch).ids, plain)


def test_adapters_are_in_what_is_shared():
    model, batch = make("m3d_lamed", language=language(train="lora")), batch_from(6)
    for key, parameter in model.language.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.3)
    together = model.predict_step(batch).ids
    for row in range(7):
        one = model.predict_step(alone(batch, row)).ids
        assert answers(one, 1) == answers(together[row : row + 1], 1)


# ---- the states, where equal tokens could hide a fault -----------------------------------------


def both(model: VolumeLM, batch: Batch) -> tuple[Prefilled, Prefilled]:
    """Return the prompts of a batch read with what they share read once, and read apart."""
    percept: Percept = model.perceive(batch.studies)
    spliced, visual = model.read_percept(percept, batch)
    opening = splice.Common.of(batch, VOCABULARY.placeholder).opening(batch, visual)
    return model.language.prefill(spliced, opening), model.language.prefill(spliced)


@torch.no_grad()
@pytest.mark.parametrize("before", [0, 1, 3])
def test_the_state_after_a_prompt_is_that_of_the_prompt_read_apart(name, before):
    shared, apart = both(make(name), batch_from(7, before=before))
    torch.testing.assert_close(shared.state, apart.state, **CLOSE)
    assert torch.equal(shared.position, apart.position)
    assert torch.equal(shared.mask.sum(1), apart.mask.sum(1))


@torch.no_grad()
def test_hidden_visual_tokens_stay_hidden_in_what_is_shared(monkeypatch):
    model, batch = make("m3d_lamed"), batch_from(8, before=1)
    attend = model.attend

    def some_hidden(percept, questions):
        visual = attend(percept, questions)
        mask = torch.ones(visual.shared.shape[:2], dtype=torch.bool)
        mask[0, 2:4] = False
        return replace(visual, shared_mask=mask)

    monkeypatch.setattr(model, "attend", some_hidden)
    shared, apart = both(model, batch)
    torch.testing.assert_close(shared.state, apart.state, **CLOSE)


def test_what_was_read_can_be_continued_twice():
    model = make("m3d_lamed").language
    prompts = splice.Spliced(torch.randn(3, 5, 32), torch.ones(3, 5, dtype=torch.bool), None)
    read = model.prefill(prompts)
    rows = torch.arange(3)
    first = model.speak(read.rows(rows), 4).ids
    other = model.speak(read.rows(rows.flip(0)), 4).ids
    assert torch.equal(first, other.flip(0)) and torch.equal(first, model.greedy(prompts, 4))


# ---- what is read, and how often ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "tokens"), [("m3d_lamed", 8), ("ms_vlm", 4), ("med2e3", 8)])
def test_what_questions_share_is_read_once_a_study(name, tokens, monkeypatch):
    model, batch = make(name), batch_from(9, before=3)
    seen = passes(model, monkeypatch)
    model.predict_step(batch)
    words = 3 if name == "med2e3" else 5  # its own visual tokens end what is shared
    assert seen[0] == (2, tokens + words) and seen[1][0] == 7


def test_other_words_before_the_volume_end_what_is_shared(monkeypatch):
    model, batch = make("m3d_lamed"), batch_from(10, before=3)
    longest = int(batch.attention_mask.sum(1).argmax())
    batch.input_ids[longest, 1] = 29  # of the three system words the second
    seen = passes(model, monkeypatch)
    model.predict_step(batch)
    assert seen[0] == (2, 1)


def test_equal_questions_keep_a_token_of_their_own(name):
    model = wide(name)
    batch = asked(list(volumes(1)), [[5, 6, 7]] * 3, [0, 0, 0])
    said = model.predict_step(batch).ids
    assert torch.equal(said[0], said[1]) and torch.equal(said[1], said[2])


def test_too_little_to_share_is_read_apart(monkeypatch):
    monkeypatch.setattr(splice, "WORTHWHILE", 1000)
    model, batch = make("m3d_lamed"), batch_from(11)
    seen = passes(model, monkeypatch)
    model.predict_step(batch)
    assert seen[0][0] == 7 and seen[1] == (7, 1)


def test_one_question_is_read_in_one_pass(monkeypatch):
    model = make("m3d_lamed")
    seen = passes(model, monkeypatch)
    model.predict_step(asked(list(volumes(1)), [[5, 6]], [0]))
    assert seen[:2] == [(1, 10), (1, 1)]


# ---- rows that have ended ----------------------------------------------------------------------


def test_rows_that_have_ended_leave_the_batch(monkeypatch):
    model, batch = wide("m3d_lamed"), batch_from(12, studies=1)
    model.language.vocabulary = replace(VOCABULARY, eos=-1)
    free = model.predict_step(batch).ids
    model.language.vocabulary = replace(VOCABULARY, eos=int(free[0, 0]))
    seen = passes(model, monkeypatch)
    said = model.predict_step(batch).ids
    alive = torch.ones(7, dtype=torch.bool)
    held, wanted = 7, []
    for column in said.T[: said.shape[1] - 1]:
        alive &= column != model.language.vocabulary.eos
        held = int(alive.sum()) if 2 * int(alive.sum()) <= held else held
        wanted.append((held, 1))
    assert seen[2:] == wanted
