"""Does any model draw where its answer says [SEG], and learn from masks that show something?"""

from dataclasses import replace

import pytest
import torch
from tiny_models import (
    CLOSE,
    MAKERS,
    VOCABULARY,
    asked,
    batch_of,
    language,
    make,
    vision3d,
    volumes,
)

from tomovox.models.segmentation import SegVolConfig
from tomovox.schema import IGNORE, TomovoxError

SEG = 30
DRAWS = replace(VOCABULARY, seg=SEG)
ANSWERS = [[20, SEG, 1], [20, SEG, 1], [22, 1]]


def drawer(name: str = "m3d_lamed", seed: int = 0, **changes):
    head = SegVolConfig(vision3d=vision3d(), heads=2, mlp=16)
    body = language()
    body.architecture["tie_word_embeddings"] = False
    return make(name, seed, language=body, mask_head=head, vocabulary=DRAWS, **changes)


def asked_to_draw(shown: tuple[bool, bool] = (True, True), answers=ANSWERS):
    """Two studies, three questions; the first two ask for a mask."""
    batch = batch_of(list(volumes(2)), [0, 1], [[5, 6], [7, 8, 9], [5]], answers, [0, 1, 1])
    masks = torch.zeros(2, 1, 8, 16, 16, dtype=torch.bool)
    for row, seen in enumerate(shown):
        masks[row, :, 2:5, 4:9, 3:8] = seen
    return replace(batch, masks=masks, mask_rows=torch.tensor([0, 1]))


def losses(model, batch) -> float:
    model.log = lambda *_, **__: None
    return model.training_step(batch, 0)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_system_draws_through_the_same_head(name):
    model = drawer(name)
    spoken = model.predict_step(asked_to_draw(answers=None))
    assert spoken.mask_logits.shape == (2, 1, 8, 16, 16)


def test_where_no_seg_is_said_nothing_is_drawn():
    model = drawer()
    model.language.vocabulary = replace(DRAWS, seg=VOCABULARY.size + 5)
    spoken = model.predict_step(asked_to_draw(answers=None))
    assert bool((spoken.mask_logits == -torch.inf).all())


def test_a_model_without_a_head_draws_nothing():
    model = make("m3d_lamed")
    assert model.predict_step(asked_to_draw(answers=None)).mask_logits is None


def test_the_state_that_says_seg_is_the_one_that_its_label_points_to():
    model = drawer()
    with torch.no_grad():
        model.language.model.get_output_embeddings().weight.zero_()
    model.language.vocabulary = replace(DRAWS, seg=0)  # of equal logits the first is said
    spliced, _ = model.read(asked([*volumes(2)], [[5, 6], [7, 8, 9]], [0, 1]))
    spoken = model.language.speak(model.language.prefill(spliced), 1)
    assert spoken.draws.all()
    torch.testing.assert_close(spoken.prompt, model.language.hidden(spliced)[:, -1], **CLOSE)


def test_the_loss_of_masks_reaches_head_projector_and_language_model():
    model = drawer().train()
    losses(model, asked_to_draw()).backward()
    plain = drawer().train()
    losses(plain, replace(asked_to_draw(), masks=None, mask_rows=None)).backward()
    for part in (model.seg_module.image_encoder.norm, model.seg_projector[0]):
        assert part.weight.grad.abs().sum() > 0
    body = model.language.model.model.layers[0].self_attn.q_proj.weight
    other = plain.language.model.model.layers[0].self_attn.q_proj.weight
    assert not torch.equal(body.grad, other.grad)


def test_an_empty_target_adds_no_loss_and_no_rank_waits():
    model = drawer().train()
    loss = losses(model, asked_to_draw(shown=(False, False)))
    text = losses(model, replace(asked_to_draw(), masks=None, mask_rows=None))
    torch.testing.assert_close(loss, text)
    loss.backward()
    trains = [p for p in model.seg_module.parameters() if p.requires_grad]
    assert trains and all(p.grad is not None and not p.grad.any() for p in trains)


def test_a_shown_target_whose_answer_says_no_seg_is_refused_by_name():
    answers = [[20, 21, 1], [20, SEG, 1], [22, 1]]
    with pytest.raises(TomovoxError, match=r"record vqa_open/test/000000: has a mask, but"):
        losses(drawer().train(), asked_to_draw(answers=answers))


def test_a_tokenizer_without_seg_is_refused():
    model = drawer().train()
    model.language.vocabulary = VOCABULARY
    with pytest.raises(TomovoxError, match=r"tokenizer has no \[SEG\]"):
        losses(model, asked_to_draw())


def test_the_head_does_not_train_in_align():
    model = drawer(stage="align").train()
    assert not any(p.requires_grad for p in model.seg_module.parameters())
    batch = asked_to_draw()
    torch.testing.assert_close(losses(model, batch), losses(model, replace(batch, masks=None)))


def test_masks_are_learned_from_a_few_steps():
    model = drawer().train()
    batch = asked_to_draw()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3)
    first = None
    for _ in range(40):
        loss = losses(model, batch)
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    spliced, _ = model.read(batch)
    assert spliced.labels is not None and (spliced.labels != IGNORE).any()
    assert loss.item() < 0.5 * first
