"""Does a page hold every answer, score, slice and drawing of its runs, and no others?"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tomovox import report_content
from tomovox.data.evidence import facts_of
from tomovox.data.phantom import write_phantom
from tomovox.data.records import read_records
from tomovox.judge.score import SAMPLES, score_run
from tomovox.report_content import (
    NO_SLICES,
    content_of,
    records_of,
    samples_of,
    scales_of,
    scores_in,
    unknown,
    volumes_of,
    with_data,
)
from tomovox.schema import PREDICTIONS, Prediction, Record, Task, TomovoxError, to_line

SIZE = (8, 16, 16)
MOST = 50


def write_data(root: Path) -> Path:
    """Write a phantom with three test cases of one series each."""
    write_phantom(root, cases=6, seed=0, shape=SIZE, test_cases=3, series=1, organ_masks=True)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("phantom") / "data")


@pytest.fixture(scope="module")
def records(data) -> list[Record]:
    return read_records(data, Task.VQA_CLOSED, "test")


def write_answers(run: Path, answers: list[Prediction], config: str = "seed_everything: 0") -> Path:
    """Write a RUN folder with these answers."""
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(config, encoding="utf-8")
    (run / PREDICTIONS).write_text("".join(f"{to_line(a)}\n" for a in answers), encoding="utf-8")
    return run


def write_experiment(folder: Path, root: Path, records: list[Record]) -> list[Path]:
    """Write a model that is right and weighs slices, one that is never right, and a control."""
    config = f"data: {{root: '{root}'}}\ndata_key: abc123\n"
    weights = [0.5] + [0.5 / (SIZE[0] - 1)] * (SIZE[0] - 1)
    right = [Prediction.of(record, record.reference, weights) for record in records]
    wrong = [Prediction.of(record, "no idea") for record in records]
    runs = [
        write_answers(folder / "blind-s0", wrong, config),
        write_answers(folder / "med2e3-s0", right, config),
    ]
    write_answers(folder / "med2e3-s0" / "controls" / "no_image", wrong)
    return runs


@pytest.fixture
def runs(tmp_path, data, records) -> list[Path]:
    return write_experiment(tmp_path / "one", data, records)


# ---- samples ---------------------------------------------------------------------------------


def test_every_question_has_the_answers_of_all_models_and_of_no_control(runs, records):
    content, missing = content_of(runs, MOST)
    assert [sample.id for sample in content.samples] == [record.id for record in records]
    assert all(set(sample.answers) == {"blind", "med2e3"} for sample in content.samples)
    assert not missing


def test_an_answer_has_its_own_scores_and_weights(runs):
    sample = content_of(runs, MOST)[0].samples[0]
    scores = {model: said.scores["accuracy.standard"] for model, said in sample.answers.items()}
    assert scores == {"blind": 0.0, "med2e3": 1.0}
    assert sum(sample.answers["med2e3"].slice_scores) == pytest.approx(1, abs=1e-5)
    assert sample.answers["blind"].slice_scores == ()


def test_counts_are_no_score_of_a_record(tmp_path):
    row = dict.fromkeys(("id", "case", "task", "question_type"), "a") | {"protocol": "standard"}
    rows = [row | {"metric": "bleu4", "counts": [1, 2]}, row | {"metric": "rougeL", "value": 0.5}]
    (tmp_path / SAMPLES).write_text("".join(f"{json.dumps(r)}\n" for r in rows), encoding="utf-8")
    assert scores_in(tmp_path) == {"a": {"rougeL.standard": 0.5}}


def test_what_says_nothing_by_itself_is_no_sample(tmp_path, records):
    asked = records[0]
    again = replace(asked, id=f"{asked.id}~1")
    pair = replace(asked, id="retrieval/test/000000", task=Task.RETRIEVAL)
    answers = [Prediction.of(record, "") for record in (asked, again, pair)]
    run = write_answers(tmp_path / "a-s0", answers)
    (run / SAMPLES).write_text("", encoding="utf-8")
    assert [sample.id for sample in samples_of({"a": run})] == [asked.id]


def test_a_question_does_not_repeat_the_choices_that_stand_below_it(runs, records):
    sample = content_of(runs, MOST)[0].samples[0]
    assert sample.choices == records[0].choices
    assert records[0].question.startswith(sample.question) and "Choices" not in sample.question


def test_an_id_of_two_cases_is_refused(tmp_path, records):
    answers = [Prediction.of(records[0], "")], [Prediction.of(replace(records[0], case="x"), "")]
    runs = {n: write_answers(tmp_path / n, said) for n, said in zip("ab", answers, strict=True)}
    for run in runs.values():
        (run / SAMPLES).write_text("", encoding="utf-8")
    with pytest.raises(TomovoxError, match=f"{records[0].id} is of case x"):
        samples_of(runs)


# ---- data ------------------------------------------------------------------------------------


def test_a_sample_has_the_volume_and_the_evidence_that_the_data_tell(runs, data, records):
    facts = facts_of(data, records)
    for sample in content_of(runs, MOST)[0].samples:
        told = facts[sample.id]
        found = sample.volume, sample.evidence, sample.scope
        assert found == (told.volume, told.slices, told.scope)


def test_a_sample_knows_how_many_series_it_is_asked_about(runs, data, records, monkeypatch):
    several = [replace(record, volumes=record.volumes * 3) for record in records]
    samples = content_of(runs, MOST)[0].samples
    assert {sample.series for sample in samples} == {1}
    monkeypatch.setattr(report_content, "read_records", lambda *asked: several)
    assert {sample.series for sample in with_data(samples, data, MOST)[0]} == {3}


def test_shown_slices_are_the_voxels_of_the_data(runs, data):
    content, _ = content_of(runs, 2)
    shown = dict(content.volumes)
    assert len(shown) == 2 and shown.keys() <= {sample.volume for sample in content.samples}
    for path, voxels in shown.items():
        np.testing.assert_array_equal(voxels, np.load(data / path).reshape(SIZE))


def test_voxels_are_read_when_they_are_asked_for(tmp_path):
    shown = volumes_of(tmp_path, ["nowhere.npy"])
    with pytest.raises(TomovoxError, match=r"nowhere\.npy"):
        next(shown)


def test_without_data_a_page_has_everything_but_slices(tmp_path, records):
    content, missing = content_of(
        write_experiment(tmp_path / "one", tmp_path / "gone", records), MOST
    )
    assert missing == f"{tmp_path / 'gone'}: no such data root" and NO_SLICES in content.notes
    assert len(content.samples) == len(records) and not list(content.volumes)


def test_a_volume_that_is_not_there_is_named_but_not_shown(tmp_path, runs, data):
    tables = tmp_path / "tables"
    tables.mkdir()
    for part in data.iterdir():
        if part.name != "M3D_Cap_npy":
            (tables / part.name).symlink_to(part)
    score_run(runs[0])
    samples, chosen = with_data(samples_of({"blind": runs[0]}), tables, MOST)
    assert chosen == [] and all(sample.volume for sample in samples)


def test_a_record_of_another_case_is_not_the_one_that_was_asked(runs, data):
    score_run(runs[0])
    samples = samples_of({"blind": runs[0]})
    others = [replace(sample, case="another") for sample in samples]
    assert len(records_of(samples, data)) == len(samples) and not records_of(others, data)
    count = f"{len(others)} of {len(others)}"
    assert unknown(others) == [f"{count} samples are not in the data: no slices."]


def test_slices_of_a_mask_are_looked_up_for_shown_volumes_alone(tmp_path, data):
    asked = read_records(data, Task.SEG_SEMANTIC, "test")
    run = write_answers(tmp_path / "a-s0", [Prediction.of(record, "[SEG]") for record in asked])
    (run / SAMPLES).write_text("", encoding="utf-8")
    samples = samples_of({"a": run})
    for most in (0, 1):
        found, chosen = with_data(samples, data, most)
        told = {sample.volume for sample in found if sample.evidence}
        assert told == set(chosen) and len(chosen) == most


# ---- tables and provenance -------------------------------------------------------------------


def test_the_page_tells_the_trivial_value_of_crg():
    rows = [{"metric": name, "protocol": "standard"} for name in ("crg", "f1_macro")]
    scales = scales_of(pd.DataFrame(rows))
    assert scales["crg.standard"].trivial == "trivial 0.333"
    assert not scales["f1_macro.standard"].trivial


def test_the_page_has_the_tables_of_models_and_controls(runs):
    content, _ = content_of(runs, MOST)
    assert set(content.table["control"]) == {"none", "no_image"}
    assert content.scales["accuracy.standard"].unit == "percent"
    assert content.primary["vqa_closed"] == "accuracy.standard"
    assert any(sheet.title.startswith("vqa_closed: accuracy") for sheet in content.sheets)


def test_seeds_of_a_model_are_told_apart_as_in_the_tables(tmp_path, records):
    answers = [Prediction.of(record, record.reference) for record in records]
    runs = [write_answers(tmp_path / f"med2e3-s{seed}", answers) for seed in (0, 1)]
    content, _ = content_of(runs, MOST)
    assert set(content.samples[0].answers) == {"med2e3 (seed 0)", "med2e3 (seed 1)"}
    assert content.provenance["seeds"] == "0, 1"


def test_provenance_tells_how_to_make_the_page_again(runs):
    told = content_of(runs, MOST, "tomovox report runs/one")[0].provenance
    digest = json.loads((runs[0] / "results.json").read_text("utf-8"))["predictions_sha256"]
    assert told["command"] == "tomovox report runs/one" and told["data"] == "abc123"
    assert f"blind-s0 {digest[:12]}" in told["predictions"] and "numpy" in told["versions"]
