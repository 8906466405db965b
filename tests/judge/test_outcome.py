"""Is an outcome what its runs say, and only what is asked for of it?"""

import hashlib
from collections import Counter
from pathlib import Path

import pandas
import pytest
from test_cli_compare import CASES, QUESTIONS, answered

from tomovox.data.audit_report import Audit
from tomovox.judge.cells import OF_PAPERS, where
from tomovox.judge.outcome import Extras, Outcome, outcome_of
from tomovox.judge.reliance import COLUMNS as RELIED
from tomovox.judge.tables import COLUMNS
from tomovox.judge.verdicts import Asked
from tomovox.schema import TomovoxError
from tomovox.sheets import Sheet


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    for name, right in (("blind-s0", 10), ("med2e3-s0", 35)):
        answered(folder / name, right)
    answered(folder / "med2e3-s0" / "controls" / "no_image", 10)
    return folder


@pytest.fixture(scope="module")
def outcome(folder) -> Outcome:
    return outcome_of([folder])


def further(section: str) -> Sheet:
    return Sheet(f"further of {section or 'all'}", ("model",), (("a",),), section)


def test_a_place_becomes_frames_to_look_at(outcome):
    assert set(outcome.frame["control"]) == {"none", "no_image"}
    assert set(COLUMNS) < set(outcome.frame.columns)
    assert list(outcome.relied.columns) == list(RELIED) and len(outcome.relied)
    assert outcome.reference == "blind"


def test_an_experiment_is_all_of_its_runs(folder, outcome):
    again = outcome_of(str(run) for run in (folder / "blind-s0", folder / "med2e3-s0"))
    assert again.frame.equals(outcome.frame)


def test_a_place_without_predictions_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match=r"no predictions\.jsonl"):
        outcome_of([tmp_path])


def test_further_sheets_come_after_verdicts_and_reliance(outcome):
    outcome.sheets.append(further(""))
    titles = [sheet.title for sheet in outcome.every_sheet()]
    outcome.sheets.clear()
    assert ["against blind" in titles[0], "share of the gain" in titles[1]] == [True, True]
    assert titles[2:] == ["further of all"]


def test_every_form_of_the_table_has_every_sheet(outcome, tmp_path):
    outcome.sheets.append(further("rec"))
    _, *paths = outcome.write(tmp_path, ["a note"], [])
    outcome.sheets.clear()
    for path in paths[:3]:
        text = path.read_text("utf-8")
        assert "against blind" in text and "share of the gain" in text and "further of rec" in text


def test_sheets_do_not_change_a_byte_of_the_csv(outcome, tmp_path):
    shaped = outcome.only(Asked(by_type=True))
    shaped.sheets = [further("")]
    for name, each in (("a", outcome), ("b", shaped)):
        each.write(tmp_path / name, [], [])
    assert (tmp_path / "a/table.csv").read_bytes() == (tmp_path / "b/table.csv").read_bytes()


def test_what_is_not_asked_for_is_left_out(outcome):
    outcome.sheets += [further("rec"), further("")]
    only = outcome.only(Asked(task="vqa_closed", metrics=("parsed_rate",)))
    outcome.sheets.clear()
    assert set(only.frame["metric"]) == {"parsed_rate"}
    assert only.relied.empty and only.sheets == [further("")]
    assert "parsed_rate" in only.every_sheet()[0].title


# ---- what stands beside the scores -------------------------------------------------------------


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Path:
    """An audit that found the first 20 test cases in training: half of what is right."""
    audit = Audit("data", records=Counter({("vqa_closed", "test"): CASES * QUESTIONS}))
    audit.leaked = {f"vqa_closed/test/{case:06d}": ["case"] for case in range(20 * QUESTIONS)}
    audit.cut = {"report": 0, "volume": 0}
    path = tmp_path_factory.mktemp("audit") / "clean_split.json"
    path.write_text(audit.clean_split(), encoding="utf-8")
    return path


def accuracy(frame, model: str) -> float:
    cells = where(frame, model=model, control="none", metric="accuracy", question_type="all")
    return float(cells["value"].iloc[0])


def test_a_clean_split_is_shown_beside_the_official_one_and_has_tables_of_its_own(
    folder, split, tmp_path
):
    found = outcome_of([folder], extras=Extras(str(split)))
    paths = found.write(tmp_path, [], [])
    assert {tmp_path / "clean.csv", tmp_path / "clean/table.csv"} <= set(paths)
    assert "official and clean" in (tmp_path / "table.md").read_text("utf-8")
    assert accuracy(found.frame, "med2e3") == 35 / 40
    assert accuracy(found.cleaned.frame, "med2e3") == 15 / 20


def test_only_what_is_asked_for_is_left_of_the_clean_tables(folder, split):
    found = outcome_of([folder], extras=Extras(str(split))).only(Asked(metrics=("parsed_rate",)))
    assert set(found.cleaned.frame["metric"]) == set(found.clean["metric"]) == {"parsed_rate"}
    titles = [sheet.title for sheet in found.every_sheet() if "clean" in sheet.title]
    assert titles == ["vqa_closed: parsed_rate, standard, official and clean"]


def test_official_and_clean_have_a_row_for_each_question_type_that_is_asked_for(folder, split):
    found = outcome_of([folder], extras=Extras(str(split))).only(Asked(by_type=True))
    (sheet,) = [sheet for sheet in found.every_sheet() if "clean" in sheet.title]
    assert {row[:2] for row in sheet.rows} >= {("med2e3", "all"), ("med2e3", "plane")}


def test_the_clean_tables_name_the_split_in_every_form(folder, split, tmp_path):
    outcome_of([folder], extras=Extras(str(split))).write(tmp_path, [], [])
    digest = hashlib.sha256(split.read_bytes()).hexdigest()[:12]
    for form in ("md", "tex", "html"):
        text = (tmp_path / f"clean/table.{form}").read_text("utf-8").replace("\\", "")
        assert digest in text and "clean ones alone" in text


def test_a_split_that_leaves_nothing_of_the_reference_says_why_there_are_no_clean_tables(
    folder, tmp_path
):
    leaked = {f"vqa_closed/test/{case:06d}": ["case"] for case in range(CASES * QUESTIONS)}
    path = tmp_path / "clean_split.json"
    audit = Audit("data", leaked=leaked, cut={"report": 0, "volume": 0})
    path.write_text(audit.clean_split(), encoding="utf-8")
    found = outcome_of([folder], extras=Extras(str(path)))
    assert found.cleaned is None
    assert found.notes == ["no tables of the clean records: clean_split.json leaves none of blind"]


def test_what_an_earlier_call_left_beside_its_tables_is_removed(folder, split, tmp_path):
    outcome_of([folder], extras=Extras(str(split))).write(tmp_path, [], [])
    outcome_of([folder / "blind-s0"]).write(tmp_path, [], [])
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*(f"table.{form}" for form in ("csv", "md", "tex", "html")), "compute.csv"}


def test_files_of_somebody_else_are_kept(outcome, tmp_path):
    (tmp_path / "clean.csv").write_text("mine", encoding="utf-8")
    outcome.write(tmp_path, [], [])
    assert (tmp_path / "clean.csv").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [("A. axial", "A. oblique", "references"), ('"case": "3"', '"case": "x"', "cases")],
)
def test_runs_of_two_data_sets_are_refused(folder, tmp_path, old, new, what):
    answered(tmp_path / "other-s0", 10)
    path = tmp_path / "other-s0" / "predictions.jsonl"
    path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(TomovoxError, match=f"blind-s0 and .*other-s0 have different {what}"):
        outcome_of([folder / "blind-s0", path.parent])


def test_reported_figures_are_rows_of_their_own_and_change_no_other(folder, outcome):
    found = outcome_of([folder], extras=Extras(reported=True, systems={"med2e3": "m3d_lamed"}))
    reported = found.frame["control"].isin(OF_PAPERS)
    assert set(found.frame[reported]["model"]) == {"med2e3"} and found.notes
    pandas.testing.assert_frame_equal(
        found.frame[~reported].reset_index(drop=True), outcome.frame, check_dtype=False
    )


def test_time_never_reaches_the_csv_of_scores(folder, tmp_path):
    timing = folder / "med2e3-s0" / "timing.jsonl"
    line = '{"case": "1", "study": "1", "questions": 1, "seconds": 2.5, "peak_mib": 100}\n'
    timing.write_text(line, encoding="utf-8")
    outcome_of([folder]).write(tmp_path / "a", [], [])
    timing.write_text(line.replace("2.5", "7.5"), encoding="utf-8")
    outcome_of([folder]).write(tmp_path / "b", [], [])
    timing.unlink()
    assert (tmp_path / "a/table.csv").read_bytes() == (tmp_path / "b/table.csv").read_bytes()
    assert "2.5" in (tmp_path / "a/compute.csv").read_text("utf-8")
    assert "7.5" in (tmp_path / "b/compute.csv").read_text("utf-8")


def test_an_experiment_may_name_its_reference(folder):
    assert outcome_of([folder], extras=Extras(reference="med2e3")).reference == "med2e3"


def test_what_tables_show_is_kept_beside_them(split, tmp_path):
    wanted = Extras(str(split), True, {"a": "m3d_lamed"}, "med2e3", "bh")
    wanted.keep(tmp_path)
    assert Extras.kept(tmp_path) == wanted and Extras.kept(tmp_path / "other") == Extras()


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"clean_split": 3, "reported": true, "systems": {}, "reference": ""}'),
        '{"clean_split": "", "reported": true, "systems": {"a": 1}, "reference": null}',
        '{"clean_split": "", "reported": true, "systems": {}, "reference": null, "more": 1}',
    ],
)
def test_what_is_no_such_file_is_named(tmp_path, content):
    (tmp_path / "extras.json").write_text(content, encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"extras\.json: "):
        Extras.kept(tmp_path)
