"""Does the adapter load and read as the published classifier does? On a small one of its kind."""

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from tomovox.metrics.radbert import FOLDER_VARIABLE, WEIGHTS, RadBert
from tomovox.metrics.resources import Unavailable

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "nodule", "effusion", "no", "lung"]


@pytest.fixture
def folder(tmp_path):
    """Write an encoder, a tokenizer and the weights of a classifier, as they are published."""
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=520,
    )
    config.save_pretrained(tmp_path)
    model, head = RobertaModel(config).eval(), torch.nn.Linear(16, 18)
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    weights["model.embeddings.position_ids"] = torch.arange(520)[None]
    weights |= {f"classifier.{name}": tensor for name, tensor in head.state_dict().items()}
    torch.save(weights, tmp_path / WEIGHTS)
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    return tmp_path, model, head


def test_a_finding_is_there_from_a_probability_of_one_half(folder):
    place, model, head = folder
    ids = torch.tensor([[4, 6, 5]])
    with torch.inference_mode():
        probability = head(model(ids).pooler_output).sigmoid()[0]
    expected = {n for n, p in zip(RadBert.labels, probability.tolist(), strict=True) if p >= 0.5}
    assert RadBert(place)(["nodule no effusion"]) == [expected]
    assert 0 < len(expected) < 18


def test_what_stands_beside_a_text_changes_nothing(folder):
    labeller = RadBert(folder[0], batch_size=2)
    texts = ["nodule", "no effusion lung nodule no", "lung effusion", "nodule"]
    assert labeller(texts) == [labeller([text])[0] for text in texts]


def test_a_text_without_words_has_no_finding(folder):
    assert RadBert(folder[0])(["", "  "]) == [frozenset(), frozenset()]


def test_a_text_of_any_length_is_read(folder):
    assert len(RadBert(folder[0])(["nodule " * 2000])) == 1


def test_what_to_fetch_is_said_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    with pytest.raises(Unavailable, match="hf download zzxslp/RadBERT-RoBERTa-4m"):
        RadBert()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(Unavailable, match=r"config\.json is missing"):
        RadBert()


def test_weights_of_another_model_are_refused(folder):
    torch.save({"model.a": torch.zeros(1)}, folder[0] / WEIGHTS)
    with pytest.raises(Unavailable, match="does not load"):
        RadBert(folder[0])
