"""Does logging again continue the runs of the first time, and repeat nothing?"""

import json
import shutil
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from tomovox.schema import TomovoxError
from tomovox.tracking.away import StoreAway
from tomovox.tracking.kept import IDS, Kept
from tomovox.tracking.store import DATABASE, Tracker, database_uri, make_database


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One database for all tests: MLflow takes seconds to lay one out."""
    return tmp_path_factory.mktemp("an experiment")


@pytest.fixture(scope="module")
def tracker(folder):
    tracker = Tracker(None, folder, "first look")
    tracker.parent()
    return tracker


@pytest.fixture(scope="module")
def child(tracker):
    return tracker.run("med2e3", 0)


@pytest.fixture
def shared(folder, tracker, tmp_path):
    """Make the tracker of an experiment whose folder lies apart from the store."""

    def of(name, experiment="shared"):
        (tmp_path / name).mkdir(exist_ok=True)
        return Tracker(database_uri(folder), tmp_path / name, experiment)

    return of


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a\n", encoding="utf-8")
    return path


def data(tracker, run_id):
    return tracker._store.get_run(run_id).data


def history(tracker, run_id, name):
    return [point.value for point in tracker._store.get_metric_history(run_id, name)]


def runs_of(tracker):
    """Return (id, parent's id) of every run of the tracker's experiment."""
    found = tracker._store.search_runs([tracker.experiment_id])
    return {(run.info.run_id, run.data.tags.get("mlflow.parentRunId")) for run in found}


def sent_by(tracker, monkeypatch):
    """Return the list that every file is noted in as it is sent."""
    sent, send = [], tracker._store.log_artifact

    def log_artifact(run_id, path, into=None):
        sent.append(path)
        send(run_id, path, into)

    monkeypatch.setattr(tracker._store, "log_artifact", log_artifact)
    return sent


# ---- which runs --------------------------------------------------------------------------------


def test_a_child_belongs_to_the_parent(tracker, child):
    assert data(tracker, child).tags["mlflow.parentRunId"] == tracker.parent()


def test_a_second_start_finds_the_same_runs(folder, tracker, child):
    parent = tracker.parent()
    again = Tracker(None, folder, "first look")
    assert (again.parent(), again.run("med2e3", 0)) == (parent, child)


def test_without_the_stored_ids_the_same_runs_are_found(shared, tmp_path):
    first = shared("a", "ids lost")
    kept = first.parent(), first.run("o'hara's", 0), first.run("o'hara's", 1)
    (tmp_path / "a" / IDS).unlink()
    again = shared("a", "ids lost")
    assert (again.parent(), again.run("o'hara's", 0), again.run("o'hara's", 1)) == kept
    assert len(runs_of(again)) == 3


def test_a_run_that_was_made_but_not_stored_is_found(shared, tmp_path):
    first = shared("a", "cut")
    first.parent()
    before = (tmp_path / "a" / IDS).read_text(encoding="utf-8")
    child = first.run("med2e3", 0)
    (tmp_path / "a" / IDS).write_text(before, encoding="utf-8")
    again = shared("a", "cut")
    again.parent()
    assert again.run("med2e3", 0) == child


def test_a_parent_whose_id_was_never_told_is_found_from_another_machine(shared, monkeypatch):
    first = shared("a", "untold")
    make = first._store.create_run

    def make_and_stay_silent(*args, **named):
        make(*args, **named)
        raise MlflowException("Read timed out")

    monkeypatch.setattr(first._store, "create_run", make_and_stay_silent)
    with pytest.raises(MlflowException, match="timed out"):
        first.parent()
    monkeypatch.setattr("tomovox.tracking.kept.platform.node", lambda: "elsewhere")
    again = shared("a", "untold")
    assert runs_of(again) == {(again.parent(), None)}


def test_two_folders_that_share_a_store_have_their_own_runs(shared):
    one, other = shared("a"), shared("b")
    assert one.experiment_id == other.experiment_id
    assert one.parent() != other.parent()
    assert one.run("med2e3", 0) != other.run("med2e3", 0)


def test_a_moved_folder_keeps_its_runs(folder, tracker, child, tmp_path):
    moved = Tracker(None, shutil.copytree(folder, tmp_path / "moved"), "first look")
    assert (moved.parent(), moved.run("med2e3", 0)) == (tracker.parent(), child)


def test_the_ids_of_another_experiment_in_the_folder_are_not_taken(shared):
    assert shared("a", "one file").parent() != shared("a", "another file").parent()
    assert len(runs_of(shared("a", "one file"))) == 1


def test_a_child_follows_a_parent_that_was_made_anew(shared):
    tracker = shared("a", "anew")
    parent, child = tracker.parent(), tracker.run("med2e3", 0)
    tracker._store.delete_run(parent)
    again = shared("a", "anew")
    assert again.parent() != parent
    assert again.run("med2e3", 0) == child
    assert runs_of(again) == {(again.parent(), None), (child, again.parent())}


@pytest.mark.parametrize("ghost", ["0" * 32, "no id"])
def test_an_id_that_the_store_does_not_know_gives_a_new_run(shared, tmp_path, ghost):
    shared("a", "ghost").parent()
    path = tmp_path / "a" / IDS
    stored = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(stored | {"children": {"blind-s0": ghost}}), encoding="utf-8")
    again = shared("a", "ghost")
    again.parent()
    assert again.run("blind", 0) != ghost


def test_a_store_that_is_away_does_not_double_a_run(shared, monkeypatch):
    first = shared("a", "away")
    kept = first.parent()

    def away(run_id):
        raise MlflowException("Max retries exceeded")

    monkeypatch.setattr(first._store, "get_run", away)
    with pytest.raises(MlflowException, match="Max retries exceeded"):
        first.parent()
    assert runs_of(first) == {(kept, None)}


# ---- what is kept ------------------------------------------------------------------------------


def test_the_ids_stand_beside_the_database(folder, tracker, child):
    assert Kept.read(folder).children["med2e3-s0"] == child
    assert (folder / "mlflow.db").is_file()


def test_something_is_pending_until_all_is_logged(shared, tmp_path):
    tracker = shared("a", "marked")
    assert Kept.read(tmp_path / "a").pending
    tracker.complete()
    assert not Kept.read(tmp_path / "a").pending


def test_the_time_for_all_calls_is_bounded(folder, tracker, tmp_path):
    with pytest.raises(StoreAway, match="more than 0 seconds"):
        Tracker(database_uri(folder), tmp_path, "slow", seconds=0.0)


# ---- what is logged ----------------------------------------------------------------------------


def test_metrics_tags_and_parameters_are_logged(tracker, child):
    tracker.log(child, {"all": 0.5}, {"unavailable.x": "no WordNet"}, {"model": "med2e3"})
    logged = data(tracker, child)
    assert (logged.metrics["all"], logged.params["model"]) == (0.5, "med2e3")
    assert logged.tags["unavailable.x"] == "no WordNet"


def test_an_equal_metric_adds_no_history_and_another_value_does(tracker, child):
    for value in (0.1, 0.1, 1 / 3, 1 / 3):
        tracker.log(child, {"again": value}, {}, {})
    assert history(tracker, child, "again") == [0.1, 1 / 3]


def test_more_than_one_call_may_hold_is_logged_whole(tracker, child):
    metrics = {f"many.{i}": float(i) for i in range(1001)}
    tags = {f"many.{i}": str(i) for i in range(101)}
    tracker.log(child, metrics, tags, {})
    logged = data(tracker, child)
    assert metrics.items() <= logged.metrics.items() and tags.items() <= logged.tags.items()


def test_a_parameter_is_cut_and_never_changed(tracker, child):
    tracker.log(child, {}, {}, {"rate (start)": "x" * 300, "scale": "tiny"})
    tracker.log(child, {}, {}, {"scale": "smol"})
    logged = data(tracker, child)
    assert (logged.params["rate_start_"], logged.params["scale"]) == ("x" * 250, "tiny")
    assert logged.tags["later.scale"] == "smol"


def test_files_lie_in_the_folder_of_the_experiment(folder, tracker, child, table):
    tracker.log_files(child, {"tables/table.csv": table})
    (found,) = (folder / "mlartifacts").rglob("table.csv")
    assert found.parent.name == "tables"


def test_a_file_with_the_same_bytes_is_sent_once(tracker, child, table, monkeypatch):
    sent = sent_by(tracker, monkeypatch)
    for _ in range(2):
        tracker.log_files(child, {"once/table.csv": table})
    assert sent == [str(table)]


def test_a_file_with_other_bytes_replaces_the_old_one(folder, tracker, child, table):
    tracker.log_files(child, {"changed/table.csv": table})
    table.write_text("b\n", encoding="utf-8")
    tracker.log_files(child, {"changed/table.csv": table})
    (found,) = (p for p in (folder / "mlartifacts").rglob("table.csv") if p.parts[-2] == "changed")
    assert found.read_text(encoding="utf-8") == "b\n"


def test_a_file_that_the_store_lost_is_sent_again(folder, tracker, child, table, monkeypatch):
    tracker.log_files(child, {"lost/table.csv": table})
    (found,) = (p for p in (folder / "mlartifacts").rglob("table.csv") if p.parts[-2] == "lost")
    found.unlink()
    sent = sent_by(tracker, monkeypatch)
    tracker.log_files(child, {"lost/table.csv": table})
    assert sent == [str(table)] and found.is_file()


def test_what_was_sent_before_a_fault_is_not_sent_again(shared, table, tmp_path, monkeypatch):
    tracker = shared("a", "fault")
    run = tracker.parent()
    with pytest.raises(TomovoxError, match="no such file to log"):
        tracker.log_files(run, {"table.csv": table, "none.csv": tmp_path / "none.csv"})
    again = shared("a", "fault")
    sent = sent_by(again, monkeypatch)
    again.log_files(again.parent(), {"table.csv": table})
    assert not sent


def test_a_run_that_ended_does_not_end_again(tracker, child):
    tracker.finish(child)
    ended = tracker._store.get_run(child).info
    tracker.run("med2e3", 0)
    tracker.finish(child)
    assert tracker._store.get_run(child).info.end_time == ended.end_time
    assert ended.status == "FINISHED"


def test_a_database_that_is_made_has_its_name_when_it_is_whole(tmp_path, monkeypatch):
    def killed(store, uri, artifacts):
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore.__init__", killed)
    with pytest.raises(KeyboardInterrupt):
        make_database(tmp_path)
    assert not (tmp_path / DATABASE).exists()


def test_a_database_that_is_there_is_left_alone(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"any")
    make_database(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == b"any"
