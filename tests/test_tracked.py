"""Does MLflow get what a folder holds, and does a run end well when MLflow takes nothing?"""

import errno
import json
import shutil
import sqlite3

import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow_server import logged
from tracked_folder import write_folder

from tomovox.schema import TomovoxError
from tomovox.tracked import OF_CHILD, SOURCE, keep_source, log_experiment, read_rows, track
from tomovox.tracking.away import StoreAway
from tomovox.tracking.kept import IDS, Kept
from tomovox.tracking.store import Tracker, database_uri

SECRET = "s3cr3tword"
NAME = "vqa_closed.all.accuracy.standard"


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """An experiment's folder that was never logged."""
    return write_folder(tmp_path_factory.mktemp("scored") / "one")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database without any experiment: MLflow takes seconds to lay one out."""
    folder = tmp_path_factory.mktemp("empty")
    Tracker(None, folder, "none")
    return folder / "mlflow.db"


@pytest.fixture
def folder(scored, empty, tmp_path, monkeypatch):
    """A copy that was never logged, with an empty database of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    copy = shutil.copytree(scored, tmp_path / "one")
    shutil.copy(empty, copy)
    return copy


def state(folder):
    return logged(database_uri(folder), "one")


def away(folder, uri=None):
    """Name an address where nothing answers, with a secret."""
    uri = uri or f"http://me:{SECRET}@127.0.0.1:1"
    source = folder.parent / "one.yaml"
    source.write_text(f"# A question?\ntracking_uri: {uri}\nmodels: {{}}\n", encoding="utf-8")
    keep_source(folder, source, uri)
    return uri


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


# ---- what is logged ----------------------------------------------------------------------------


def test_a_child_has_scores_statistics_controls_reliance_and_attention(folder):
    assert track(folder)
    metrics = state(folder)["med2e3-s0"]["metrics"]
    assert metrics[NAME] == [1.0] and metrics[f"{NAME}.n"] == [2.0]
    assert metrics[f"control.no_image.{NAME}"] == [0.5]
    assert f"{NAME}.lo" in metrics
    assert metrics["attention.evidence_mass.vqa_closed.all"] == [0.5]


def test_files_belong_to_the_runs_that_they_are_about(folder):
    assert track(folder)
    found = state(folder)
    assert set(found["blind-s0"]["files"]) == set(OF_CHILD)
    tables = {f"table.{form}" for form in ("csv", "md", "tex", "html")}
    assert found["parent"]["files"].keys() >= {*tables, SOURCE, "attention/attention.csv"}
    assert all(run["status"] == "FINISHED" for run in found.values())


def test_logging_again_changes_nothing(folder):
    assert track(folder)
    before = state(folder)
    assert track(folder)
    assert state(folder) == before


def test_what_was_scored_anew_is_logged_as_a_second_point(folder):
    assert track(folder)
    path = folder / "blind-s0" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    (row,) = (r for r in results["rows"] if f"{r['metric']}.{r['protocol']}" in NAME
              and r["question_type"] == "all" and r["protocol"] == "standard")  # fmt: skip
    before, row["value"] = row["value"], 0.125
    path.write_text(json.dumps(results), encoding="utf-8")
    assert track(folder)
    assert state(folder)["blind-s0"]["metrics"][NAME] == [before, 0.125]


def test_visual_reliance_is_logged(folder):
    lines = "model,seed,control,task,question_type,reliance\nmed2e3,0,no_image,rec,all,0.5\n"
    (folder / "reliance.csv").write_text(lines, encoding="utf-8")
    assert track(folder)
    assert state(folder)["med2e3-s0"]["metrics"]["reliance.no_image.rec.all"] == [0.5]


def test_a_folder_that_nobody_kept_is_logged_under_its_name(folder):
    (folder / IDS).unlink()
    log_experiment(folder)
    assert "med2e3-s0" in state(folder)


def test_a_table_of_another_version_is_named(tmp_path):
    (tmp_path / "table.csv").write_text("model,seed\na,0\n", encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"table\.csv: no table of this version"):
        read_rows(tmp_path / "table.csv", ("value",))


# ---- what MLflow does not take -----------------------------------------------------------------


def test_a_locked_database_is_reported_and_completed_later(folder, monkeypatch, capsys):
    uri = f"{database_uri(folder)}?timeout=0.1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with sqlite3.connect(folder / "mlflow.db") as held:
        held.execute("BEGIN EXCLUSIVE")
        assert not track(folder)
    (line,) = capsys.readouterr().out.splitlines()
    assert "database is locked" in line and Kept.read(folder).pending
    held.close()
    assert track(folder)
    assert "med2e3-s0" in state(folder) and not Kept.read(folder).pending


def test_a_full_disk_of_artifacts_costs_no_number(folder, monkeypatch, capsys):
    def full(self, path, into=None):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    with monkeypatch.context() as now:
        now.setattr(LocalArtifactRepository, "log_artifact", full)
        assert not track(folder)
    (line,) = capsys.readouterr().out.splitlines()
    assert "No space left on device" in line
    found = state(folder)
    assert found["med2e3-s0"]["metrics"][NAME] == [1.0]
    assert not any(run["files"] for run in found.values())


def test_a_folder_of_artifacts_that_takes_nothing_is_completed_later(folder):
    (folder / "mlartifacts").touch()
    assert not track(folder)
    before = {name: run["metrics"] for name, run in state(folder).items()}
    (folder / "mlartifacts").unlink()
    assert track(folder)
    found = state(folder)
    assert {name: run["metrics"] for name, run in found.items()} == before
    assert all(run["files"] for run in found.values())


def test_a_disk_that_takes_not_even_the_mark_does_not_stop_a_run(folder, monkeypatch, capsys):
    def full(self, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Kept, "write", full)
    assert not track(folder)
    assert "No space left on device" in capsys.readouterr().out


def test_a_run_that_is_not_scored_is_named_and_stops_nothing(folder, capsys):
    (folder / "blind-s0" / "results.json").unlink()
    assert not track(folder)
    assert "blind-s0/results.json: no such file to log" in " ".join(capsys.readouterr().out.split())


# ---- where it is tracked -----------------------------------------------------------------------


def test_without_an_address_the_environment_names_it_at_the_first_time(folder, tmp_path, empty,
                                                                       monkeypatch):  # fmt: skip
    other = shutil.copy(empty, tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert track(folder)
    assert "med2e3-s0" in logged(f"sqlite:///{other}", "one")


def test_an_experiment_stays_where_it_was_first_logged(folder, monkeypatch):
    assert track(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    before = state(folder)
    assert track(folder)
    assert state(folder) == before


def test_a_password_is_in_no_file_and_no_line(folder, impatient, capsys):
    away(folder)
    assert not track(folder)
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err and "***@127.0.0.1" in printed.out
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in text for text in texts)
    assert Kept.read(folder).uri == "http://***@127.0.0.1:1"


def test_a_password_is_read_again_from_the_experiment_file(folder, impatient, monkeypatch):
    uri, asked = away(folder), []
    monkeypatch.setattr("tomovox.tracked.Tracker", lambda uri, *rest: asked.append(uri) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        log_experiment(folder)
    assert asked == [uri]


def test_a_password_is_read_again_from_the_environment(folder, impatient, monkeypatch):
    uri, asked = away(folder), []
    (folder.parent / "one.yaml").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("tomovox.tracked.Tracker", lambda uri, *rest: asked.append(uri) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        log_experiment(folder)
    assert asked == [uri]


@pytest.mark.parametrize("other", ["", "http://me:word@elsewhere:1"])
def test_a_password_that_stands_nowhere_is_asked_for(folder, monkeypatch, other):
    away(folder)
    (folder.parent / "one.yaml").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    with pytest.raises(StoreAway, match="set MLFLOW_TRACKING_URI"):
        log_experiment(folder)


def test_the_copy_of_the_experiment_file_is_no_source_of_passwords(folder):
    away(folder)
    keep_source(folder, folder / SOURCE, None)
    assert "***@127.0.0.1" in (folder / SOURCE).read_text(encoding="utf-8")
    with pytest.raises(StoreAway, match="set MLFLOW_TRACKING_URI"):
        log_experiment(folder)


def test_the_source_is_kept_before_any_store_is_asked(folder):
    away(folder)
    text = (folder / SOURCE).read_text(encoding="utf-8")
    assert text.startswith("# A question?") and "***@127.0.0.1" in text
    assert Kept.read(folder).parent == ""
