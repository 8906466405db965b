"""Is an experiment whose server was killed whole in the end, and nothing of it there twice?"""

import io
import shutil
import signal
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow_server import Server, logged, running
from tracked_folder import write_folder

from tomovox.cli import main
from tomovox.tracked import track
from tomovox.tracking.kept import IDS, Kept
from tomovox.tracking.store import Tracker


def run_end(folder: Path) -> SimpleNamespace:
    """Do what `tomovox run` does at its end; return whether all was logged, and what it said."""
    said = io.StringIO()
    with redirect_stdout(said):
        whole = track(folder)
    return SimpleNamespace(whole=whole, said=said.getvalue(), pending=Kept.read(folder).pending)


def killed_at_the_second_row(server: Server, patch: pytest.MonkeyPatch, folder: Path):
    """End a run whose server is killed when one of its rows is logged."""
    opened, run = [], Tracker.run

    def run_then_kill(self, model, seed):
        if opened:
            server.kill()
        opened.append(model)
        return run(self, model, seed)

    with patch.context() as only_now:
        only_now.setattr(Tracker, "run", run_then_kill)
        return run_end(folder)


def held_while_it_makes_a_run(server: Server, patch: pytest.MonkeyPatch, folder: Path):
    """End a run whose server is asked for the parent, and answers only when nobody listens."""
    create = MlflowClient.create_run

    def hold_and_create(self, *args, **named):
        server.signal(signal.SIGSTOP)
        return create(self, *args, **named)

    try:
        with patch.context() as only_now:
            only_now.setattr(MlflowClient, "create_run", hold_and_create)
            return run_end(folder)
    finally:
        server.signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Four experiments: one undisturbed, one cut by a kill, one that met no server, one held."""
    root = tmp_path_factory.mktemp("server")
    with running(root) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        calm = write_folder(root / "calm", server.uri)
        folders = {name: root / name for name in ("calm", "killed", "down", "held")}
        for name in ("killed", "down", "held"):
            shutil.copytree(calm, folders[name])
            kept = Kept.read(calm)
            kept.experiment, kept.key = name, name
            kept.write(folders[name])
        ends = {"calm": run_end(calm)}
        ends["killed"] = killed_at_the_second_row(server, patch, folders["killed"])
        ends["down"] = run_end(folders["down"])
        error = io.StringIO()
        with pytest.MonkeyPatch.context() as only_now:
            only_now.setattr("sys.stderr", error)
            refused = main(["sync", str(folders["down"])])
        server.start()
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        ends["held"] = held_while_it_makes_a_run(server, patch, folders["held"])
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        places = [str(folders[name]) for name in ("killed", "down", "held")]
        codes = [main(["sync", *places])]
        first = {name: logged(server.uri, name) for name in folders}
        codes.append(main(["sync", *places, str(calm)]))
        again = {name: logged(server.uri, name) for name in folders}
        yield SimpleNamespace(
            folders=folders, ends=ends, codes=codes, first=first, again=again,
            refused=(refused, error.getvalue()), uri=server.uri,
        )  # fmt: skip


DISTURBED = ("killed", "down", "held")


def test_an_undisturbed_run_is_whole(story):
    assert (story.ends["calm"].whole, story.ends["calm"].pending) == (True, False)
    assert set(story.first["calm"]) == {"parent", "med2e3-s0", "blind-s0", "majority-s0"}


@pytest.mark.parametrize("name", DISTURBED)
def test_a_run_whose_server_is_away_goes_on_and_is_marked(story, name):
    assert (story.ends[name].whole, story.ends[name].pending) == (False, True)


@pytest.mark.parametrize("name", DISTURBED)
def test_the_gap_is_one_line_that_says_what_completes_it(story, name):
    (line,) = story.ends[name].said.splitlines()
    assert f"MLflow at {story.uri} is not complete: " in line
    assert "results are on disk, tomovox sync" in line and "completes MLflow" in line


def test_sync_while_the_server_is_away_is_one_line(story):
    code, error = story.refused
    assert code == 2 and error.count("\n") == 1
    assert f"tomovox: MLflow at {story.uri} is not complete: " in error


def test_sync_completes_and_takes_the_mark_away(story):
    assert story.codes == [0, 0]
    assert not any(Kept.read(folder).pending for folder in story.folders.values())


@pytest.mark.parametrize("name", DISTURBED)
def test_after_sync_all_is_as_if_nothing_had_happened(story, name):
    assert story.first[name] == story.first["calm"]


def test_a_second_sync_changes_nothing(story):
    assert story.again == story.first


def test_every_metric_has_one_point(story):
    points = [run["metrics"] for runs in story.again.values() for run in runs.values()]
    assert all(len(values) == 1 for metrics in points for values in metrics.values())


# ---- the command -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["nowhere", "nowhere.yaml"])
def test_a_place_without_a_table_is_one_line(tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    assert main(["sync", place]) == 2
    error = capsys.readouterr().err
    assert "no table.csv to log" in error and error.count("\n") == 1
    assert not list(tmp_path.rglob(IDS))
