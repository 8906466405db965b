"""Does a second start continue the MLflow runs of the first?"""

import json

import pytest

from tomovox import tracking
from tomovox.schema import TomovoxError
from tomovox.tracking import Tracker, metric_name, serve, server_command

ROW = {
    "task": "vqa_closed",
    "question_type": "plane",
    "metric": "accuracy",
    "protocol": "standard",
    "value": 0.5,
    "n": 4,
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


def test_a_child_belongs_to_the_parent(tracker, child):
    assert data(tracker, child).tags["mlflow.parentRunId"] == tracker.parent()


def test_a_second_start_finds_the_same_runs(folder, tracker, child):
    parent = tracker.parent()
    again = Tracker(None, folder, "first look")
    assert (again.parent(), again.run("med2e3", 0)) == (parent, child)


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
    stored["children"]["ghost-s0"] = "0" * 32
    path.write_text(json.dumps(stored), encoding="utf-8")
    assert Tracker(None, folder, "first look").run("ghost", 0) != "0" * 32
    path.write_text(kept, encoding="utf-8")


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
