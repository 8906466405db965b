"""What do the folders of runs tell of their notes, and of their data?"""

from pathlib import Path

import pytest
from test_cli_score import write_run

from tomovox.run_folders import data_keys, data_root, notes_of


def configured(run: Path, config: str) -> Path:
    """Write a RUN folder with a config."""
    write_run(run, "A. axial")
    (run / "config.yaml").write_text(config, encoding="utf-8")
    return run


def test_notes_of_several_experiments_name_theirs(tmp_path):
    runs = [write_run(tmp_path / name / "blind-s0", None) for name in ("one", "two")]
    for run in runs:
        (run.parent / "notes.txt").write_text("what to know\n", encoding="utf-8")
    assert notes_of(runs[:1]) == ["what to know"]
    assert notes_of(runs) == ["one: what to know", "two: what to know"]


def test_only_configs_that_name_their_data_have_a_key(tmp_path):
    named = configured(tmp_path / "a-s0", "data_key: 144162b47a7b\n")
    assert data_keys([named, write_run(tmp_path / "b-s0", None)]) == ["144162b47a7b"]


@pytest.mark.parametrize(
    "config",
    [
        "data: {root: '${experiment}/shared/phantom'}",
        "data: {class_path: Pairs, init_args: {root: '${experiment}/shared/phantom'}}",
    ],
)
def test_a_data_root_moves_with_its_experiment(tmp_path, config):
    run = configured(tmp_path / "moved" / "a-s0", config)
    assert data_root(run) == tmp_path / "moved" / "shared" / "phantom"


@pytest.mark.parametrize("config", ["seed_everything: 0", "data: {limit: 1}", "data: null"])
def test_a_config_may_name_no_data_root(tmp_path, config):
    assert data_root(configured(tmp_path / "a-s0", config)) is None
