"""Does a device with little memory say the same, a few questions at a time, from one percept?"""

import weakref
from dataclasses import replace

import pytest
import torch
from short_memory import limited
from test_drawing import DRAWS, drawer
from tiny_models import QUESTIONS, VOCABULARY, asked, make, volumes

from tomovox.models.decoding import Spoken
from tomovox.models.halving import AtOnce, Said, if_memory_allows, is_out_of_memory, rows_of
from tomovox.schema import Batch, TomovoxError

SEVEN = [*QUESTIONS, [21, 22], [5, 23, 24, 6], [25]]


def seven() -> Batch:
    """Seven questions about two studies."""
    return asked(list(volumes(2)), SEVEN, [0, 0, 1, 0, 1, 1, 0])


# ---- the same answers --------------------------------------------------------------------------


@pytest.mark.parametrize("most", [4, 3])
def test_fewer_at_a_time_say_the_same_to_the_last_bit(name, monkeypatch, most):
    model = make(name)
    model.choice_answers = lambda r: [[20, 1], [21, 22, 1]] if int(r.id[-1]) % 2 else []
    whole = model.predict_step(seven())
    limited(monkeypatch, most)
    parts = model.predict_step(seven())
    assert torch.equal(parts.ids, whole.ids) and parts.choice_logprobs == whole.choice_logprobs
    assert (parts.slice_scores is None) == (whole.slice_scores is None)
    if whole.slice_scores is not None:
        assert torch.equal(parts.slice_scores, whole.slice_scores)


@pytest.mark.parametrize("most", [2, 1])
def test_one_or_two_at_a_time_say_the_same_words(name, monkeypatch, most):
    model = make(name)
    whole = model.predict_step(seven())
    limited(monkeypatch, most)
    parts = model.predict_step(seven())
    assert torch.equal(parts.ids, whole.ids)
    if whole.slice_scores is not None:  # so few rows are multiplied in another order
        torch.testing.assert_close(parts.slice_scores, whole.slice_scores, rtol=0, atol=1e-6)


def test_masks_are_drawn_in_the_order_of_the_batch(monkeypatch):
    model = drawer()
    rows = torch.tensor([5, 0, 4, 1])  # question 2, 3 and 6 ask for none
    shown = torch.zeros(4, 1, 8, 16, 16, dtype=torch.bool)
    batch = replace(seven(), masks=shown, mask_rows=rows)
    said = model.predict_step(batch).ids[0, 0]
    model.language.vocabulary = replace(DRAWS, seg=int(said))  # so that some are drawn
    whole = model.predict_step(batch).mask_logits
    limited(monkeypatch, 4)
    assert torch.equal(model.predict_step(batch).mask_logits, whole)
    assert bool(whole.isfinite().any())


def drawn(monkeypatch, failures: int) -> torch.Tensor | None:
    """Return masks drawn on a device that has no room for the first so many of them."""
    model, left = drawer(), [failures]
    batch = replace(seven(), masks=torch.ones(2, 1, 8, 16, 16).bool(), mask_rows=torch.arange(2))
    model.language.vocabulary = replace(DRAWS, seg=int(model.predict_step(batch).ids[0, 0]))
    decode = model.seg_module.decode

    def short(*given):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return decode(*given)

    monkeypatch.setattr(model.seg_module, "decode", short)
    return model.predict_step(batch).mask_logits


def test_masks_are_drawn_once_more_where_memory_ran_out(monkeypatch):
    with monkeypatch.context() as roomy:
        whole = drawn(roomy, 0)
    assert bool(whole.isfinite().any()) and torch.equal(drawn(monkeypatch, 1), whole)


def test_no_memory_for_a_mask_alone_is_one_line(monkeypatch):
    with pytest.raises(TomovoxError, match=r"^case c \(v\): no memory for a mask on this device"):
        drawn(monkeypatch, 2)


def test_a_part_keeps_the_padding_and_the_studies_of_its_batch():
    batch = seven()
    part = rows_of(batch, slice(4, 6))
    assert part.input_ids.shape[1] == batch.input_ids.shape[1]
    assert torch.equal(part.questions.ids, batch.questions.ids[4:6])
    assert part.studies is batch.studies and part.records == batch.records[4:6]


def test_answers_of_different_lengths_are_padded_to_the_longest():
    lengths = iter([2, 4])

    def answer(part: Batch) -> Said:
        count = len(part.records)
        spoken = torch.full((count, next(lengths)), 7)
        return Said(Spoken(spoken, torch.zeros(count, 3), torch.zeros(count, dtype=torch.bool)))

    ids = AtOnce(4).answer(seven(), answer, VOCABULARY.pad).spoken.ids
    assert ids.tolist() == [[7, 7, 0, 0]] * 4 + [[7] * 4] * 3


# ---- how many at once --------------------------------------------------------------------------


def test_the_studies_are_perceived_once(name, monkeypatch):
    model, seen = make(name), []
    perceive = model.perceive
    monkeypatch.setattr(model, "perceive", lambda s: seen.append(len(s)) or perceive(s))
    limited(monkeypatch, 1)
    model.predict_step(seven())
    assert seen == [2]


def test_what_fitted_is_tried_first_the_next_time(monkeypatch):
    model, tries = make("blind"), limited(monkeypatch, 2)
    model.predict_step(seven())
    assert tries == [7, 4, 2, 2, 2, 1]
    model.predict_step(seven())
    assert tries[6:] == [2, 2, 2, 1]


def test_what_happened_is_said_in_one_line_and_once(monkeypatch):
    lines, model = [], make("blind")
    model.at_once = AtOnce(told=lines.append)
    limited(monkeypatch, 2)
    for _ in range(2):
        model.predict_step(seven())
    wanted = "no memory for all 7 questions about c at once; from now on at most 2 at a time"
    assert lines == [wanted]


def test_with_memory_nothing_is_said_or_split(monkeypatch):
    lines, model, tries = [], make("blind"), limited(monkeypatch, 7)
    model.at_once = AtOnce(told=lines.append)
    model.predict_step(seven())
    assert tries == [7] and not lines


def test_a_number_is_kept_to_and_divides_evenly(monkeypatch):
    model, tries = make("blind"), limited(monkeypatch, 7)
    model.at_once = AtOnce(5, halves=False)
    model.predict_step(seven())
    assert tries == [4, 3]


# ---- what does not fit -------------------------------------------------------------------------


def test_one_question_that_does_not_fit_is_named(monkeypatch):
    limited(monkeypatch, 0)
    wanted = r"case c \(v\): no memory for one question \(vqa_open/test/000000\).*bf16-mixed"
    with pytest.raises(TomovoxError, match=wanted):
        make("blind").predict_step(seven())


def test_a_number_that_does_not_fit_is_refused(monkeypatch):
    limited(monkeypatch, 2)
    model = make("blind")
    model.at_once = AtOnce(3, halves=False)
    with pytest.raises(TomovoxError, match=r"case c: no memory for 3 questions .*--batch"):
        model.predict_step(seven())


def test_a_mask_that_does_not_fit_is_named(monkeypatch):
    model = drawer()
    shown = torch.zeros(1, 1, 8, 16, 16, dtype=torch.bool)
    batch = replace(seven(), masks=shown, mask_rows=torch.tensor([0]))
    said = model.predict_step(batch).ids[0, 0]
    model.language.vocabulary = replace(DRAWS, seg=int(said))
    monkeypatch.setattr(model.seg_module, "decode", lambda *_: torch.empty(10**15))
    with pytest.raises(TomovoxError, match=r"case c \(v\): no memory for a mask"):
        model.predict_step(batch)


def test_volumes_that_do_not_fit_are_named(monkeypatch):
    model = make("m3d_lamed")
    monkeypatch.setattr(model, "perceive", lambda _: torch.empty(10**15))
    with pytest.raises(TomovoxError, match=r"case c \(v\): no memory for its volumes"):
        model.predict_step(seven())


def test_the_allocator_of_the_main_memory_is_recognised():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(10**15)
    assert is_out_of_memory(raised.value)


def test_another_error_is_not_swallowed():
    with pytest.raises(RuntimeError, match="must match"):
        if_memory_allows(lambda: torch.ones(2) + torch.ones(3))


def test_what_a_failed_try_held_is_let_go():
    held = []

    def fails() -> None:
        tensor = torch.ones(3)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError

    assert if_memory_allows(fails) is None
    assert held[0]() is None
