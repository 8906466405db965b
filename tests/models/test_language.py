"""Does the language wrapper count the loss, stop and adapt as it says?"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tiny_models import VOCABULARY, language

from tomovox.models.language import Language
from tomovox.models.splice import Spliced
from tomovox.schema import IGNORE, TomovoxError, Vocabulary

SPOKEN = replace(VOCABULARY, size=VOCABULARY.placeholder)
"""The vocabulary without the placeholder, which no trained model says."""


def built(vocabulary: Vocabulary = VOCABULARY, **changes) -> Language:
    torch.manual_seed(0)
    config = language(**changes)
    config.architecture["initializer_range"] = 0.5  # Wide enough that it does not repeat itself.
    return config.build(vocabulary).eval()


def embeds(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, length, 32, generator=torch.Generator().manual_seed(seed))


def prompts(rows: int = 3, length: int = 4) -> Spliced:
    mask = torch.ones(rows, length, dtype=torch.bool)
    mask[0, 0] = False
    return Spliced(embeds(rows, length), mask, None)


def labelled() -> Spliced:
    labels = torch.tensor([[IGNORE, IGNORE, 5, 6, 1], [IGNORE, 7, 1, IGNORE, IGNORE]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    return Spliced(embeds(2, 5), mask, labels)


def cut(row: list[int], eos: int) -> list[int]:
    """Return a row up to and with its first end token."""
    return row[: row.index(eos) + 1] if eos in row else row


def never_ending(model: Language, steps: int = 6) -> list[list[int]]:
    """Return what the model says when no token ends an answer."""
    model.vocabulary = replace(SPOKEN, eos=-1)
    return model.greedy(prompts(), steps).tolist()


def test_the_loss_is_the_cross_entropy_of_the_full_logits():
    model, spliced = built(), labelled()
    loss, _ = model.loss(spliced)
    logits = model.logits(spliced)[:, :-1]
    wanted = F.cross_entropy(logits.flatten(0, 1), spliced.labels[:, 1:].flatten())
    torch.testing.assert_close(loss, wanted)


def test_token_accuracy_is_the_share_of_right_labelled_tokens():
    model, spliced = built(), labelled()
    said, targets = model.logits(spliced)[:, :-1].argmax(-1), spliced.labels[:, 1:].clone()
    targets[0, 1] = said[0, 1]
    spliced.labels[:, 1:] = targets
    hits = [a == b for a, b in zip(said.flatten(), targets.flatten(), strict=True) if b != IGNORE]
    assert float(model.loss(spliced)[1]) == pytest.approx(sum(map(int, hits)) / len(hits))


def test_a_prompt_has_no_loss():
    with pytest.raises(ValueError, match="without labels"):
        built().loss(prompts())


def test_an_answer_stops_at_its_end_token_and_pad_follows():
    model = built()
    free = never_ending(model)
    eos = free[1][2]
    model.vocabulary = replace(SPOKEN, eos=eos)
    said = model.greedy(prompts(), 6).tolist()
    wanted = [cut(row, eos) for row in free]
    length = max(map(len, wanted))
    assert said == [row + [VOCABULARY.pad] * (length - len(row)) for row in wanted]
    assert min(map(len, wanted)) < length


def test_decoding_ends_when_every_row_has_ended():
    model = built()
    first = never_ending(model)[0][0]
    model.vocabulary = replace(SPOKEN, eos=first)
    alone = prompts()
    alone = Spliced(alone.embeds[:1], alone.mask[:1], None)
    assert model.greedy(alone, 6).tolist() == [[first]]


def test_a_pad_that_is_the_end_token_changes_no_answer():
    model = built()
    eos = never_ending(model)[1][2]
    answers = []
    for pad in (VOCABULARY.pad, eos):
        model.vocabulary = replace(SPOKEN, eos=eos, pad=pad)
        answers.append([cut(row, eos) for row in model.greedy(prompts(), 6).tolist()])
    assert answers[0] == answers[1]


def test_an_end_token_that_is_the_pad_carries_loss():
    model = built(replace(VOCABULARY, pad=VOCABULARY.eos))
    spliced = labelled()
    whole, _ = model.loss(spliced)
    spliced.labels[spliced.labels == VOCABULARY.eos] = IGNORE
    assert not torch.isclose(whole, model.loss(spliced)[0])


def test_no_new_tokens_give_an_empty_answer():
    assert built().greedy(prompts(), 0).shape == (3, 0)


def test_the_placeholder_needs_no_row_of_its_own():
    model = built(replace(VOCABULARY, size=39))
    ids = torch.tensor([[VOCABULARY.placeholder, 5]])
    assert torch.equal(model.embed(ids), model.embed(torch.tensor([[VOCABULARY.pad, 5]])))


def test_fresh_adapters_change_nothing():
    plain, adapted = built(), built(train="lora")
    torch.testing.assert_close(plain.logits(labelled()), adapted.logits(labelled()))


def test_merged_adapters_say_the_same_with_fewer_steps():
    model = built(train="lora")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    apart = model.logits(labelled())
    model.merge_adapters()
    once = {k: v.clone() for k, v in model.state_dict().items()}
    model.merge_adapters()
    assert all(torch.equal(once[k], v) for k, v in model.state_dict().items())
    torch.testing.assert_close(model.logits(labelled()), apart)
    assert not torch.allclose(apart, built().logits(labelled()), atol=0.1)  # adapters that matter


def test_training_adapters_leaves_the_base_unchanged():
    model = built(train="lora")
    base = {k: p for k, p in model.named_parameters() if "lora_" not in k}
    before = {k: p.detach().clone() for k, p in base.items()}
    adapters = [p for k, p in model.named_parameters() if "lora_" in k]
    for parameter in base.values():
        parameter.requires_grad_(False)
    optimizer = torch.optim.SGD(adapters, lr=0.1)
    first = model.loss(labelled())[0]
    first.backward()
    optimizer.step()
    assert all(torch.equal(before[k], base[k]) for k in base)
    assert not torch.equal(first, model.loss(labelled())[0])


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    built().model.save_pretrained(tmp_path)
    config = language(name=str(tmp_path))
    with pytest.raises(TomovoxError, match="has 40 token rows, the tokenizer needs 41"):
        config.build(replace(VOCABULARY, size=41))


def test_a_saved_language_model_says_the_same(tmp_path):
    model = built()
    model.model.save_pretrained(tmp_path)
    again = language(name=str(tmp_path)).build(VOCABULARY).eval()
    assert torch.equal(model.greedy(prompts(), 6), again.greedy(prompts(), 6))


def test_adapters_on_a_half_precision_model_are_kept_in_float32(tmp_path):
    built().model.save_pretrained(tmp_path)
    model = built(name=str(tmp_path), train="lora", dtype="bfloat16")
    kinds = {("lora_" in name, p.dtype) for name, p in model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}


def test_a_language_model_that_lacks_a_weight_is_refused(tmp_path):
    built().model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["model.norm.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TomovoxError, match=r"1 weights are missing, such as model\.norm\.weight"):
        built(name=str(tmp_path))


def test_a_language_model_that_is_not_there_is_named_in_one_line(tmp_path):
    with pytest.raises(TomovoxError, match="nowhere: no such folder") as caught:
        language(name=str(tmp_path / "nowhere")).build(VOCABULARY)
    assert "\n" not in str(caught.value)


# ---- token tables and memory -----------------------------------------------------------------


def untied(**changes) -> Language:
    config = language(**changes)
    config.architecture["tie_word_embeddings"] = False
    return config.build(VOCABULARY)


@pytest.fixture
def bare(tmp_path) -> str:
    """A saved language model with five token rows fewer than VOCABULARY."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = dict(language().architecture) | {"tie_word_embeddings": False}
    LlamaForCausalLM(LlamaConfig(vocab_size=35, **sizes)).save_pretrained(tmp_path)
    return str(tmp_path)


def test_token_rows_that_a_tokenizer_adds_are_the_mean_of_the_old(bare):
    model = language(name=bare, grow=True).build(VOCABULARY).model
    for table in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        assert len(table) == VOCABULARY.size
        torch.testing.assert_close(table[35:], table[:35].mean(0).expand(5, -1))


def test_spare_rows_that_added_tokens_take_over_are_the_mean_of_the_others(bare):
    shrunk = Vocabulary(size=32, placeholder=29, pad=0, eos=1, added=2)
    model = language(name=bare, grow=True).build(shrunk).model
    for table in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        assert len(table) == 32
        torch.testing.assert_close(table[30:], table[:30].mean(0).expand(2, -1))


def test_rows_that_no_token_has_are_cut_when_asked(bare):
    few = Vocabulary(size=30, placeholder=29, pad=0, eos=1)
    kept = load_file(f"{bare}/model.safetensors")["model.embed_tokens.weight"]
    table = language(name=bare, grow=True).build(few).model.get_input_embeddings().weight
    assert torch.equal(table, kept[:30])
    assert len(language(name=bare).build(few).model.get_input_embeddings().weight) == 35


@pytest.mark.parametrize(("which", "count"), [("as_train", 0), ("input", 1), ("both", 2)])
def test_the_named_token_tables_are_float32_in_a_model_of_half_precision(bare, which, count):
    model = language(name=bare, grow=True, dtype="bfloat16", embeddings=which).build(VOCABULARY)
    tables = (model.model.get_input_embeddings(), model.model.get_output_embeddings())
    assert [table.weight.dtype for table in tables].count(torch.float32) == count
    assert model.embed(torch.tensor([[5]])).dtype == torch.bfloat16
    with torch.no_grad():
        said = model.greedy(Spliced(embeds(1, 4).bfloat16(), torch.ones(1, 4).bool(), None), 2)
    assert said.shape == (1, 2)


def test_computing_layers_again_changes_no_gradient():
    grads = []
    for again in (False, True):
        torch.manual_seed(0)
        model = untied(gradient_checkpointing=again).train()
        model.loss(labelled())[0].backward()
        grads.append([p.grad for p in model.parameters()])
    for plain, checkpointed in zip(*grads, strict=True):
        torch.testing.assert_close(plain, checkpointed)
