"""Is what hiding slices found made once, and of the right questions?"""

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.progress import Progress
from test_experiment import tiny

from tomovox import attention_cell
from tomovox.attention_cell import hide_slices, read_looking
from tomovox.cell import keep_config, make_cell
from tomovox.data.datamodule import M3DDataModule
from tomovox.experiment import ExperimentRun
from tomovox.schema import PREDICTIONS, TomovoxError, read_predictions, to_line
from tomovox.stages import make_stage

WAYS = ("percept", "input")


@cache
def tiny_rows(base: Path) -> Path:
    """Return the folder of an experiment of med2e3 and m3d_lamed, predicted without training."""
    folder = base / "attention"
    folder.mkdir()
    path = tiny(folder, fit=[], floors=[])
    experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
    models = {name: experiment["models"][name] for name in ("med2e3", "m3d_lamed")}
    path.write_text(yaml.safe_dump({**experiment, "models": models}), encoding="utf-8")
    cells, stages = ExperimentRun(path, folder / "a").cells()
    for stage in stages:
        make_stage(stage)
    for cell in cells:
        keep_config(cell)
        make_cell(cell)
    return folder / "a"


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    return tiny_rows(tmp_path_factory.getbasetemp())


@pytest.fixture
def run(rows, tmp_path) -> Path:
    """A copy of the row of med2e3, beside the data it reads."""
    shutil.copytree(rows, tmp_path / "a")
    return tmp_path / "a" / "med2e3-s0"


def hide(run, cases=1, ways=WAYS):
    with Progress(disable=True) as progress:
        return hide_slices(read_looking(run), cases, ways, progress)


def rewritten(run, change):
    """Write the predictions of a run anew, each as `change` returns it."""
    lines = [to_line(change(said)) for said in read_predictions(run / PREDICTIONS)]
    (run / PREDICTIONS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


# ---- where a model looked ----------------------------------------------------------------------


def test_every_record_with_scores_is_looked_at(rows):
    looking = read_looking(rows / "med2e3-s0")
    said = {p.id: p for p in read_predictions(rows / "med2e3-s0" / PREDICTIONS)}
    assert {looked.id for looked in looking.attended} == said.keys()
    assert all(looked.scores == said[looked.id].slice_scores for looked in looking.attended)


def test_local_evidence_lies_within_the_volume(rows):
    located = [looked for looked in read_looking(rows / "med2e3-s0").attended if looked.located]
    assert located and all(max(looked.evidence) < 8 for looked in located)


def test_a_model_that_scores_no_slices_did_not_look(rows):
    assert read_looking(rows / "m3d_lamed-s0") is None


def test_predictions_of_other_data_are_refused(run):
    def renamed(said):
        said.id = f"{said.id}x"
        return said

    rewritten(run, renamed)
    with pytest.raises(TomovoxError, match=r"is no record of .*; predict again"):
        read_looking(run)


@pytest.mark.parametrize(("asked", "found"), [(1, 1), (2, 2), (50, 2)])
def test_volumes_are_those_of_up_to_so_many_cases(rows, asked, found):
    volumes = read_looking(rows / "med2e3-s0").volumes(asked)
    assert len({looked.case for asked in volumes for looked in asked}) == found
    assert all(len({looked.volume for looked in asked}) == 1 for asked in volumes)


def test_more_cases_hold_those_of_fewer(rows):
    looking = read_looking(rows / "med2e3-s0")
    one, two = looking.volumes(1), looking.volumes(2)
    assert len(two) > len(one) and all(asked in two for asked in one)


def test_scores_of_fewer_slices_than_the_evidence_is_of_are_refused(run):
    def fewer(said):
        said.slice_scores = (0.25,) * 4
        return said

    rewritten(run, fewer)
    with pytest.raises(TomovoxError, match="scores of 4 slices and evidence on a volume of 8"):
        read_looking(run)


def test_answers_about_several_series_are_left_out_and_counted(rows, monkeypatch):
    whole = read_looking(rows / "med2e3-s0")
    several = whole.attended[0].volume

    def studies(data):
        return [
            [replace(r, volumes=r.volumes * 2) if r.volumes == (several,) else r for r in study]
            for study in given(data)
        ]

    given = M3DDataModule.predict_studies
    monkeypatch.setattr(M3DDataModule, "predict_studies", studies)
    found = read_looking(rows / "med2e3-s0")
    asked = sum(looked.volume == several for looked in whole.attended)
    assert (found.several, len(found.attended)) == (asked, len(whole.attended) - asked)


def test_a_row_about_several_series_alone_is_left_out_and_said(rows, monkeypatch, capsys):
    def studies(data):
        return [[replace(r, volumes=r.volumes * 2) for r in study] for study in given(data)]

    given = M3DDataModule.predict_studies
    monkeypatch.setattr(M3DDataModule, "predict_studies", studies)
    assert read_looking(rows / "med2e3-s0") is None
    assert "all its answers are about studies of several series" in capsys.readouterr().out


# ---- hiding ------------------------------------------------------------------------------------


def test_every_question_of_a_chosen_case_has_a_trial(run):
    found, volumes = hide(run), read_looking(run).volumes(1)
    for where in WAYS:
        assert [trial.attended for trial in found[where]] == [q for asked in volumes for q in asked]


def test_with_all_slices_both_ways_are_the_same(run):
    found = hide(run)
    percept, given = ([trial.full for trial in found[where]] for where in WAYS)
    np.testing.assert_allclose(percept, given, atol=1e-3)


def test_a_call_that_was_cut_ends_as_if_it_had_not_been(run):
    whole = hide(run, ways=["input"])["input"]
    kept = read_looking(run).kept("input")
    before = kept.read_bytes()
    lines = before.splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[-1][:20])
    again = hide(run, ways=["input"])["input"]
    assert kept.read_bytes() == before
    assert [trial.to_line() for trial in again] == [trial.to_line() for trial in whole]


def test_what_is_kept_needs_no_model(run, monkeypatch):
    hide(run)
    monkeypatch.setattr(attention_cell, "load_run", None)
    assert hide(run)["input"]


def test_more_cases_add_to_what_is_kept(run):
    hide(run, cases=1, ways=["input"])
    kept = read_looking(run).kept("input")
    before = kept.read_bytes()
    hide(run, cases=2, ways=["input"])
    assert kept.read_bytes().startswith(before) and kept.stat().st_size > len(before)


def test_other_predictions_are_asked_anew(run):
    before = read_looking(run).kept("input")

    def silent(said):
        said.text = ""
        return said

    rewritten(run, silent)
    assert read_looking(run).kept("input") != before


@pytest.mark.parametrize(
    ("name", "value"),
    [("HIDING_VERSION", -1), ("FILLING", {"percept": "noise", "input": "noise"})],
)
def test_another_way_of_hiding_is_kept_apart(run, monkeypatch, name, value):
    before = read_looking(run).kept("input")
    monkeypatch.setattr(attention_cell, name, value)
    assert read_looking(run).kept("input") != before


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x"}'])
def test_a_kept_file_that_is_damaged_is_named(run, line):
    kept = read_looking(run).kept("input")
    kept.parent.mkdir()
    kept.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"hidden-input-.*remove the file"):
        hide(run, ways=["input"])
