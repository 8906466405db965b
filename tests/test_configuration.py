"""Is a YAML laid together key by key, and a wrong key or value refused in one line?"""

from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.plugins.precision import DeepSpeedPrecision, HalfPrecision

from tomovox.configuration import (
    convert_tensors_alone,
    differences,
    instantiate,
    merged,
    names_data_class,
    one_line,
    read_yaml,
)
from tomovox.data.report_pairs import report_tokenizer
from tomovox.data.tokenizer import build_word_tokenizer, save_tokenizer
from tomovox.schema import Batch, Questions, Record, Studies, Task, TomovoxError

RECIPES = Path(__file__).resolve().parents[1] / "baselines"


def recipe(system: str = "med2e3", **changes) -> dict:
    """Return a committed recipe with a data root and, laid over it, some of the model's keys."""
    data = {"data": {"root": "nowhere"}}
    return merged(
        read_yaml(RECIPES / system / "tiny.yaml"), data, {"model": {"init_args": changes}}
    )


@pytest.fixture(autouse=True)
def no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning warns where its arguments come from elsewhere than a command line that is there."""
    monkeypatch.setattr("sys.argv", ["tomovox"])


def refusal(config: dict) -> str:
    with pytest.raises(TomovoxError) as caught:
        instantiate(config, "row-s0")
    message = str(caught.value)
    assert message.startswith("row-s0: ") and "\n" not in message
    return message


def test_a_model_with_data_that_it_does_not_read_is_told_what_fits(tmp_path):
    save_tokenizer(report_tokenizer(["is this a liver"]), tmp_path / "words")
    given = {"root": str(tmp_path), "tokenizer": str(tmp_path / "words")}
    data = {"class_path": "tomovox.data.report_pairs.ReportPairs", "init_args": given}
    parts = recipe("blind") | {"data": data, "trainer": {"accelerator": "cpu", "devices": 1}}
    message = refusal(parts)
    assert "BlindLM does not read ReportPairs; give ClipTraining with data" in message


# ---- precision -------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", [DeepSpeedPrecision("bf16-mixed"), HalfPrecision("bf16-true")])
def test_a_precision_converts_what_is_read_and_lets_records_be(plugin):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.precision_plugin = plugin
    convert_tensors_alone(trainer)
    studies = Studies([torch.rand(1, 2, 2, 2)], torch.zeros(1, dtype=torch.long))
    ids, mask = torch.ones(1, 3).long(), torch.ones(1, 3).bool()
    record = Record("vqa_open/test/0", Task.VQA_OPEN, "test", "c", ("v",), "?", "!")
    asked = Questions(["?"], ids, mask, studies.study)
    batch = trainer.precision_plugin.convert_input(Batch(studies, asked, ids, mask, None, [record]))
    assert batch.studies.voxels[0].dtype == torch.bfloat16
    assert batch.input_ids.dtype == torch.long and batch.records[0] is record


# ---- laying configs together -----------------------------------------------------------------


def test_a_change_replaces_the_leaf_and_keeps_its_neighbours():
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"b": 9}}) == {"a": {"b": 9, "c": 2}, "d": 3}


def test_the_last_change_wins():
    assert merged({"a": 1}, {"a": 2}, {"a": 3}) == {"a": 3}


def test_a_list_is_replaced_whole():
    assert merged({"a": [1, 2, 3]}, {"a": [4]}) == {"a": [4]}


def test_a_value_may_become_a_mapping_and_a_mapping_a_value():
    assert merged({"a": 1, "b": {"c": 2}}, {"a": {"c": 2}, "b": None}) == {
        "a": {"c": 2},
        "b": None,
    }


def test_merging_leaves_the_base_as_it_was():
    base = {"a": {"b": 1}}
    merged(base, {"a": {"b": 2, "c": 3}})
    assert base == {"a": {"b": 1}}


def test_merging_nothing_changes_nothing():
    assert merged({"a": {"b": 1}}, {}, {"a": {}}) == {"a": {"b": 1}}


def test_equal_configs_do_not_differ():
    assert differences({"a": {"b": [1]}}, {"a": {"b": [1]}}) == []


def test_differences_name_the_path_and_both_values():
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9, "c": 2}, "e": 4}
    assert differences(old, new) == ["a.b: 1 -> 9", "d: 3 -> None", "e: None -> 4"]


def test_there_is_a_difference_for_every_leaf_that_a_change_moves():
    base = {"a": {"b": 1, "c": 2}}
    assert differences(base, merged(base, {"a": {"c": 5}})) == ["a.c: 2 -> 5"]


# ---- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fault"),
    [("a: [1", "not YAML"), ("- 1\n- 2\n", "holds no keys"), ("", "holds no keys")],
)
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path, content, fault):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(TomovoxError, match=rf"x\.yaml: {fault}") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(TomovoxError, match=r"x\.yaml: cannot be read"):
        read_yaml(tmp_path / "x.yaml")


def test_a_long_message_keeps_its_start_and_its_end():
    text = one_line("start\n" + "word " * 500 + "\nend")
    assert text.startswith("start word") and text.endswith("word end") and len(text) < 520


# ---- what the schema refuses -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (recipe(poool=2), "poool"),
        (recipe(optimizer={"learning_rate": 1.0}), "learning_rate"),
        (recipe(vision3d={"widht": 8}), "widht"),
        (merged(recipe(), {"data": {"rooot": "x"}}), "rooot"),
        (merged(recipe(), {"modle": {"a": 1}}), "modle"),
    ],
    ids=["model", "optimizer", "vision3d", "data", "top"],
)
def test_an_unknown_key_is_named(config, key):
    assert key in refusal(config)


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        (recipe(pool="two"), "pool", "two"),
        (recipe(optimizer={"lr": "fast"}), "lr", "fast"),
        (recipe(stage="aligned"), "stage", "aligned"),
        (merged(recipe(), {"data": {"batch_size": "many"}}), "batch_size", "many"),
    ],
    ids=["pool", "lr", "stage", "batch_size"],
)
def test_a_value_of_the_wrong_type_is_named_with_its_key(config, key, value):
    message = refusal(config)
    assert key in message and value in message


def test_an_unknown_scoring_is_refused():
    message = refusal(recipe(scoring="cosine"))
    assert "scoring" in message and "cosine" in message


def test_a_model_that_is_none_is_refused():
    message = refusal(merged(recipe(), {"model": {"class_path": "tomovox.models.nothing.Nobody"}}))
    assert "tomovox.models.nothing.Nobody" in message


@pytest.mark.parametrize("data", [{"series": "case"}, {"tasks": ["report", "case_report"]}])
@pytest.mark.parametrize("system", ["m3d_lamed", "med2e3"])
def test_several_series_are_refused_for_a_model_that_reads_one(tmp_path, system, data):
    save_tokenizer(build_word_tokenizer(["is this a liver"]), tmp_path)
    given = {"template": {"init_args": {"tokenizer": str(tmp_path)}}, "root": "nowhere", **data}
    with pytest.raises(TomovoxError, match=r"one series of a study; set data\.series own"):
        instantiate(merged(read_yaml(RECIPES / system / "tiny.yaml"), {"data": given}), "row-s0")


def test_a_missing_data_root_is_named_by_the_data_themselves():
    with pytest.raises(TomovoxError, match=r"nowhere.*check the data root") as caught:
        instantiate(recipe("blind"), "row-s0")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("system", sorted(p.parent.name for p in RECIPES.glob("*/tiny.yaml")))
def test_every_tiny_recipe_gives_a_model_with_the_vocabulary_of_its_data(tmp_path, system):
    config = read_yaml(RECIPES / system / "tiny.yaml")
    if names_data_class(config):
        save_tokenizer(report_tokenizer(["is this a liver"]), tmp_path)
        data = {"init_args": {"root": "nowhere", "tokenizer": str(tmp_path)}}
    else:
        save_tokenizer(build_word_tokenizer(["is this a liver"]), tmp_path)
        data = {"template": {"init_args": {"tokenizer": str(tmp_path)}}, "root": "nowhere"}
    cli = instantiate(merged(config, {"data": data}), system)
    assert cli.model.vocabulary == cli.datamodule.vocabulary()
