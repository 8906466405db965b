"""Do closed questions get their likelihoods and other orders when the data module asks for them?"""

from pathlib import Path

import pytest

from tomovox.data.datamodule import M3DDataModule
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.judge.score import ALL, score
from tomovox.models.floors import BlindLM
from tomovox.models.language import LanguageConfig
from tomovox.predict import answer_all
from tomovox.schema import PREDICTIONS, Prediction, read_predictions

LANGUAGE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 16,
}
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(folder, cases=6, seed=0, shape=(8, 32, 32), difficulty="easy", series=1)
    return folder


def answered(folder: Path, root: Path, **options) -> list[Prediction]:
    data = M3DDataModule(str(root), Template(), tasks=["vqa_closed", "report"], **options)
    data.setup()
    model = BlindLM(
        language=LanguageConfig(architecture=LANGUAGE),
        vocabulary=data.vocabulary(),
        max_new_tokens=2,
    )
    answer_all(folder, model, data, QUIET, "blind")
    return list(read_predictions(folder / PREDICTIONS))


def test_each_closed_question_has_one_likelihood_a_choice(tmp_path, root):
    for row in answered(tmp_path, root, choice_likelihood=True):
        assert len(row.choice_logprobs) == len(row.choices)
        assert all(logprob < 0 for logprob in row.choice_logprobs)


def test_without_a_wish_nothing_is_scored_or_asked_again(tmp_path, root):
    for row in answered(tmp_path, root):
        assert not row.choice_logprobs and "~" not in row.id


def test_every_question_in_every_order_has_a_consistency(tmp_path, root):
    rows = score(answered(tmp_path, root, permutations=3)).rows
    counted = {r["metric"]: r["n"] for r in rows if r["question_type"] == ALL}
    assert counted["consistency"] == counted["accuracy_all_orders"] == counted["accuracy"] > 0
