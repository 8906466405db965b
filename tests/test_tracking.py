"""Does a second start continue the MLflow runs of the first?"""

import json
import math
import shutil

import pytest
from mlflow.exceptions import MlflowException

from tomovox import tracking
from tomovox.schema import TomovoxError
from tomovox.tracking import IDS, Tracker, database_uri, metric_name, serve, server_command

ROW = {
    "task": "vqa_closed",
    "question_type": "plane",
    "metric": "accuracy",
    "protocol": "standard",
    "value": 0.5,
    "n": 4,
}
COMPARED = {
    **ROW,
    "task": "rec",
    "control": "none",
    "cases": 3,
    "lo": 0.25,
    "hi": 0.75,
    "difference": math.nan,
    "p_adjusted": math.nan,
}
MISSING = {**ROW, "metric": "meteor", "value": None, "note": "unavailable: no WordNet"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One database for all tests: MLflow takes seconds to lay one out."""
    return tmp_path_factory.mktemp("an experiment")


@pytest.fixture(scope="module")
def tracker(folder):
    return Tracker(None, folder, "first look")


@pytest.fixture(scope="module")
def child(tracker):
    return tracker.run("med2e3", 0)


def data(tracker, run_id):
    return tracker._client.get_run(run_id).data


def runs_of(tracker):
    """Return (id, parent's id) of every run of the tracker's experiment."""
    found = tracker._client.search_runs([tracker.experiment_id])
    return {(run.info.run_id, run.data.tags.get("mlflow.parentRunId")) for run in found}


def metrics_named(tracker, run_id, start):
    return {k: v for k, v in data(tracker, run_id).metrics.items() if k.startswith(start)}


@pytest.fixture
def shared(folder, tracker, tmp_path):
    """Make the tracker of an experiment whose folder lies apart from the store."""

    def of(name, experiment="shared"):
        return Tracker(database_uri(folder), tmp_path / name, experiment)

    return of


def test_a_child_belongs_to_the_parent(tracker, child):
    assert data(tracker, child).tags["mlflow.parentRunId"] == tracker.parent()


def test_a_second_start_finds_the_same_runs(folder, tracker, child):
    parent = tracker.parent()
    again = Tracker(None, folder, "first look")
    assert (again.parent(), again.run("med2e3", 0)) == (parent, child)


def test_a_child_makes_its_parent(shared):
    tracker = shared("a", "a child first")
    assert (tracker.run("med2e3", 0), tracker.parent()) in runs_of(tracker)


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
    assert shared("a", "cut").run("med2e3", 0) == child


def test_a_folder_says_where_its_experiment_is_tracked(folder, tracker):
    again = Tracker.of_folder(folder)
    assert (again.uri, again.experiment) == (tracker.uri, "first look")


def test_a_folder_whose_store_lies_elsewhere_says_so_too(shared, tmp_path):
    first = shared("a")
    parent = first.parent()
    again = Tracker.of_folder(tmp_path / "a")
    assert (again.uri, again.experiment, again.parent()) == (first.uri, "shared", parent)


def test_a_folder_that_nobody_tracks_has_no_tracker(tmp_path):
    assert Tracker.of_folder(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_folder_whose_runs_are_lost_is_named(folder, shared, tmp_path):
    shared("a").parent()
    ids = json.loads((tmp_path / "a" / IDS).read_text(encoding="utf-8"))
    (tmp_path / "a" / IDS).write_text(json.dumps(ids | {"parent": "0" * 32}), encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"mlflow\.json: .*run it again"):
        Tracker.of_folder(tmp_path / "a")


def test_where_a_run_looked_is_logged_by_statistic_and_place(tracker):
    run = tracker.run("looked", 0)
    row = {"statistic": "deletion_auc", "hidden": "input", "task": "rec", "question_type": "all"}
    unknown = {**row, "statistic": "evidence_mass", "hidden": "", "value": math.nan}
    tracker.log_attention(run, [{**row, "value": 0.5}, unknown])
    found = metrics_named(tracker, run, "attention.")
    assert found == {"attention.deletion_auc.input.rec.all": 0.5}


def test_two_folders_that_share_a_store_have_their_own_runs(shared):
    one, other = shared("a"), shared("b")
    assert one.experiment_id == other.experiment_id
    assert one.parent() != other.parent()
    assert one.run("med2e3", 0) != other.run("med2e3", 0)


def test_one_path_on_two_machines_is_two_experiments(shared, tmp_path, monkeypatch):
    parent = shared("a").parent()
    (tmp_path / "a" / IDS).unlink()
    monkeypatch.setattr(tracking.platform, "node", lambda: "elsewhere")
    assert shared("a").parent() != parent


def test_a_moved_folder_keeps_its_runs_and_is_found_in_its_new_place(folder, tracker, tmp_path):
    kept = tracker.parent(), tracker.run("med2e3", 0)
    moved = shutil.copytree(folder, tmp_path / "moved")
    first = Tracker(None, moved, "first look")
    assert (first.parent(), first.run("med2e3", 0)) == kept
    (moved / IDS).unlink()
    assert Tracker(None, moved, "first look").parent() == kept[0]


def test_the_ids_of_another_experiment_in_the_folder_are_not_taken(shared):
    assert shared("a", "one file").parent() != shared("a", "another file").parent()
    assert len(runs_of(shared("a", "one file"))) == 1


def test_a_child_follows_a_parent_that_was_made_anew(shared):
    tracker = shared("a", "anew")
    parent, child = tracker.parent(), tracker.run("med2e3", 0)
    tracker._client.delete_run(parent)
    again = shared("a", "anew")
    assert again.run("med2e3", 0) == child
    assert runs_of(again) == {(again.parent(), None), (child, again.parent())}
    assert again.parent() != parent


def test_the_ids_stand_beside_the_database(folder, tracker, child):
    stored = json.loads((folder / "mlflow.json").read_text(encoding="utf-8"))
    assert stored["children"]["med2e3-s0"] == child
    assert (folder / "mlflow.db").is_file()


def test_scores_and_n_are_metrics(tracker, child):
    tracker.log_rows(child, [ROW, MISSING])
    metrics = data(tracker, child).metrics
    assert metrics["vqa_closed.plane.accuracy.standard"] == 0.5
    assert metrics["vqa_closed.plane.accuracy.standard.n"] == 4


def test_an_unavailable_score_is_a_tag_and_no_number(tracker, child):
    tracker.log_rows(child, [ROW, MISSING])
    name = "vqa_closed.plane.meteor.standard"
    assert name not in data(tracker, child).metrics
    assert data(tracker, child).tags[f"unavailable.{name}"] == "unavailable: no WordNet"


def test_a_score_that_is_nan_is_a_tag_and_no_number(tracker, child):
    tracker.log_rows(child, [{**MISSING, "metric": "bertscore", "value": math.nan}])
    name = "vqa_closed.plane.bertscore.standard"
    assert name not in data(tracker, child).metrics
    assert f"unavailable.{name}" in data(tracker, child).tags


def test_statistics_are_metrics_and_what_is_nan_is_not_there(tracker, child):
    tracker.log_compared(child, [COMPARED])
    name = "rec.plane.accuracy.standard"
    assert metrics_named(tracker, child, "rec.") == {f"{name}.lo": 0.25, f"{name}.hi": 0.75}


def test_of_a_control_the_score_is_a_metric_of_the_same_run(tracker, child):
    rows = [{**COMPARED, "control": c, "value": v} for c, v in (("no_image", 0.25), ("b", None))]
    tracker.log_compared(child, rows)
    name = "control.no_image.rec.plane.accuracy.standard"
    assert metrics_named(tracker, child, "control.") == {name: 0.25}


def test_visual_reliance_is_a_metric_where_there_is_a_gain(tracker, child):
    row = {"control": "no_image", "task": "rec", "question_type": "all", "reliance": 0.5}
    tracker.log_reliance(child, [row, {**row, "question_type": "plane", "reliance": math.nan}])
    assert metrics_named(tracker, child, "reliance.") == {"reliance.no_image.rec.all": 0.5}


def test_a_parameter_is_cut_and_never_changed(tracker, child):
    tracker.log_parameters(child, {"rate (start)": "x" * 300, "scale": "tiny"})
    tracker.log_parameters(child, {"scale": "smol"})
    logged = data(tracker, child)
    assert logged.params["rate_start_"] == "x" * 250
    assert logged.params["scale"] == "tiny"
    assert logged.tags["later.scale"] == "smol"


def test_artifacts_lie_in_the_folder_of_the_experiment(folder, tracker, child, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a\n", encoding="utf-8")
    tracker.log_config(child, "seed: 0\n")
    tracker.log_files(child, [table], "tables")
    found = {path.name for path in (folder / "mlartifacts").rglob("*") if path.is_file()}
    assert found == {"config.yaml", "table.csv"}


def test_a_file_that_is_not_there_is_an_error(tracker, child, tmp_path):
    with pytest.raises(TomovoxError, match="no such file to log"):
        tracker.log_files(child, [tmp_path / "none.csv"])


def test_a_finished_run_can_be_continued(tracker, child):
    tracker.finish(child)
    assert tracker._client.get_run(child).info.status == "FINISHED"
    tracker.run("med2e3", 0)
    assert tracker._client.get_run(child).info.status == "RUNNING"


def test_an_id_that_the_database_does_not_know_gives_a_new_run(folder, tracker, child):
    path = folder / "mlflow.json"
    kept = path.read_text(encoding="utf-8")
    stored = json.loads(kept)
    stored["children"] |= {"ghost-s0": "0" * 32, "ghost-s1": "no id"}
    path.write_text(json.dumps(stored), encoding="utf-8")
    again = Tracker(None, folder, "first look")
    assert {again.run("ghost", seed) for seed in (0, 1)}.isdisjoint(stored["children"].values())
    path.write_text(kept, encoding="utf-8")


def test_a_store_that_is_away_does_not_double_a_run(shared, monkeypatch):
    first = shared("a", "away")
    kept = first.parent()

    def away(run_id):
        raise MlflowException("Max retries exceeded")

    monkeypatch.setattr(first._client, "get_run", away)
    with pytest.raises(TomovoxError, match="Max retries exceeded"):
        first.parent()
    assert runs_of(first) == {(kept, None)}


def test_a_broken_file_of_ids_says_what_to_do(folder, tracker, child):
    path = folder / "mlflow.json"
    kept = path.read_text(encoding="utf-8")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(TomovoxError, match="remove the file"):
        Tracker(None, folder, "first look")
    path.write_text(kept, encoding="utf-8")


def test_a_metric_name_holds_only_what_mlflow_allows():
    assert metric_name({**ROW, "question_type": "a (b)|c"}) == "vqa_closed.a_b_c.accuracy.standard"


def test_the_ui_runs_one_worker_on_this_machine_only(tmp_path):
    command = server_command(tmp_path, 5001)
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_the_ui_needs_a_database(tmp_path):
    with pytest.raises(TomovoxError, match=r"no mlflow\.db"):
        serve(tmp_path)


def test_the_ui_starts_without_job_execution(tmp_path, monkeypatch):
    started = {}

    class Process:
        def __init__(self, command, env):
            started.update(command=command, env=env)

        def wait(self):
            return 0

        def poll(self):
            return 0

    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr(tracking.subprocess, "Popen", Process)
    assert serve(tmp_path, 5001) == 0
    assert started["env"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
