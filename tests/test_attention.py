"""Does `tomovox attention` say where models look, write it once, and end bad input in one line?"""

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from test_attention_cell import tiny_rows

from tomovox import attention
from tomovox.analysis.capture import read_captures
from tomovox.attention import analyse, experiment_among, find_looking, output_of, write
from tomovox.cli import main
from tomovox.schema import PREDICTIONS, TomovoxError
from tomovox.tracking.kept import Kept

ALONE = {"evidence_mass", "entropy", "type_shift", "other_question", "other_volume"}
HIDDEN = {"deletion_auc", "insertion_auc", "top_hidden", "top_alone", "effect_correlation"}
ELSEWHERE = {"scrambled_correlation", "swapped_question", "shuffled_words"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    return tiny_rows(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def found(rows, tmp_path_factory):
    """What one case says of med2e3, slices hidden in both ways."""
    folder = tmp_path_factory.mktemp("found") / "a"
    shutil.copytree(rows, folder)
    return analyse(find_looking([folder]), 1, ("percept", "input"), Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    """The paths of what was written of these findings, in one folder."""
    return write(found, tmp_path_factory.mktemp("written"))


# ---- statistics --------------------------------------------------------------------------------


def test_rows_without_slice_scores_take_no_part(found):
    assert set(found.frame["model"]) == {"med2e3"}


def test_every_analysis_has_its_rows(found):
    statistics = set(found.frame["statistic"])
    assert statistics >= ALONE | HIDDEN | ELSEWHERE


def test_both_ways_of_hiding_stand_apart(found):
    hidden = found.frame[found.frame["statistic"].isin(HIDDEN)]
    assert set(hidden["hidden"]) == {"percept", "input"}


def test_nothing_is_hidden_unless_it_is_asked_for(rows):
    alone = analyse(find_looking([rows]), 1, (), Console(file=io.StringIO()))
    assert set(alone.frame["hidden"]) == {""} and not alone.trials
    assert not ELSEWHERE & set(alone.frame["statistic"])


def test_seeds_of_a_model_are_compared(rows, tmp_path):
    shutil.copytree(rows, tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "med2e3-s0", tmp_path / "a" / "med2e3-s1")
    both = analyse(find_looking([tmp_path / "a"]), 1, (), Console(file=io.StringIO()))
    shared = both.frame[both.frame["seed"].isna()]
    assert set(shared["statistic"]) == {"seed_divergence", "seed_correlation"}
    assert any("seeds" in sheet.title for sheet in both.sheets())


def test_seeds_that_answered_other_records_are_refused_before_any_slice_is_hidden(
    rows, tmp_path, monkeypatch
):
    shutil.copytree(rows, tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "med2e3-s0", tmp_path / "a" / "med2e3-s1")
    path = tmp_path / "a" / "med2e3-s1" / PREDICTIONS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    monkeypatch.setattr(attention, "hide_slices", None)
    with pytest.raises(TomovoxError, match="answered different records"):
        analyse(find_looking([tmp_path / "a"]), 1, ("input",), Console(file=io.StringIO()))


# ---- what it comes to --------------------------------------------------------------------------


def test_the_summary_answers_every_question(found):
    titles = " ".join(sheet.title for sheet in found.sheets())
    for question in (
        "hold the answer",
        "in the percept",
        "in the input",
        "flat",
        "scrambled",
        "move",
    ):
        assert question in titles


def test_no_two_sheets_have_one_title(found):
    titles = [sheet.title for sheet in found.sheets()]
    assert len(set(titles)) == len(titles)


def test_the_summary_says_how_many_bins_of_depth_there_are(found):
    told = [line for sheet in found.sheets() for line in sheet.told]
    assert sum("only 2 distinct depth bins" in line and "8 slices" in line for line in told) == 1


# ---- files -------------------------------------------------------------------------------------


def test_the_same_findings_are_written_the_same(found, written, tmp_path):
    again = [path.read_bytes() for path in write(found, tmp_path)]
    assert again == [path.read_bytes() for path in written]


def test_the_table_has_every_row(found, written):
    assert len(pd.read_csv(written[0].parent / "attention.csv")) == len(found.frame)


def test_what_was_scored_is_kept_beside_the_table(found, written):
    assert read_captures(written[0].parent) == found.captures


def test_numbers_are_kept_although_a_drawing_fails(found, tmp_path, monkeypatch):
    monkeypatch.setattr(attention, "attention_figures", None)
    with pytest.raises(TypeError):
        write(found, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"attention.csv", "capture.json", "summary.md"}


def test_the_summary_is_a_page_of_tables(found, written):
    page = (written[0].parent / "summary.md").read_text(encoding="utf-8")
    assert page.startswith("# ") and page.count("\n## ") == len(found.sheets())
    assert page.count("distinct depth bins") == 1


# ---- places and the command --------------------------------------------------------------------


def test_results_lie_below_the_place_that_was_asked_for(rows):
    run = rows / "med2e3-s0"
    assert (output_of([rows]), experiment_among([rows])) == (rows / "attention", rows)
    assert (output_of([run]), experiment_among([run])) == (run / "attention", None)


def test_several_places_need_an_output(rows):
    with pytest.raises(TomovoxError, match="add --output DIR"):
        output_of([rows, rows / "med2e3-s0"])


def test_the_command_writes_and_prints(rows, tmp_path, capsys):
    assert main(["attention", str(rows), "--hide", "none", "--output", str(tmp_path)]) == 0
    written = {path.name for path in tmp_path.iterdir()}
    figures = {"depth", "localisation", "type_shift", "case-1", "case-2", "case-3"}
    drawn = {f"{name}.{form}" for name in figures for form in ("svg", "pdf")}
    assert written == {"attention.csv", "capture.json", "summary.md", *drawn}
    printed = capsys.readouterr().out
    assert "does it find the slices that hold the answer?" in printed
    assert f"{tmp_path}: attention.csv, capture.json, summary.md and 6 figures" in printed


@pytest.mark.parametrize("tracked", [True, False])
def test_findings_are_logged_where_the_experiment_is(rows, tmp_path, monkeypatch, capsys, tracked):
    place, logged = shutil.copytree(rows, tmp_path / "a"), []
    if tracked:
        Kept(parent="made").write(place)
    monkeypatch.setattr(attention, "write", lambda found, folder: [])
    monkeypatch.setattr("tomovox.tracked.track", lambda folder: logged.append(folder) or True)
    assert main(["attention", str(place), "--hide", "none"]) == 0
    assert logged == [place] * tracked
    assert ("shows them in MLflow" in capsys.readouterr().out) == tracked


def test_findings_that_lie_elsewhere_are_not_logged(rows, tmp_path, monkeypatch):
    place = shutil.copytree(rows, tmp_path / "a")
    Kept(parent="made").write(place)
    monkeypatch.setattr(attention, "write", lambda found, folder: [])
    monkeypatch.setattr("tomovox.tracked.track", lambda folder: 1 / 0)
    assert main(["attention", str(place), "--hide", "none", "--output", str(tmp_path / "b")]) == 0


def test_a_run_folder_alone_is_enough_whatever_its_name(rows, tmp_path):
    shutil.copytree(rows, tmp_path / "a")
    run = (tmp_path / "a" / "med2e3-s0").rename(tmp_path / "a" / "without a seed")
    assert main(["attention", str(run), "--cases", "1", "--hide", "percept"]) == 0
    assert (run / "attention" / "localisation.svg").is_file()
    assert not (tmp_path / "a" / "attention").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nobody"], "--model nobody: no row has it; there are m3d_lamed, med2e3"),
        (["--model", "m3d_lamed"], "no row has slice scores"),
        (["--hide", "weights"], "'weights' is no way to hide slices"),
        (["--cases", "0"], "is not a number from 1"),
    ],
)
def test_bad_input_ends_in_one_line(rows, capsys, arguments, said):
    assert main(["attention", str(rows), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_place_without_predictions_is_named(tmp_path, capsys):
    assert main(["attention", str(tmp_path)]) == 2
    assert PREDICTIONS in capsys.readouterr().err
