"""Does `tomovox judge` judge the runs it is given, and does `tomovox score` show it offline?"""

import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from stub_endpoint import StubEndpoint, serving

from tomovox.cli import OneLineParser, main
from tomovox.cli_judge import add_judge_verb
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.resources import Unavailable
from tomovox.schema import PREDICTIONS, Prediction, Task, TomovoxError, to_line


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as server:
        yield server


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Path:
    """An experiment's folder with two runs of two reports, and one that wrote no reports."""
    monkeypatch.chdir(tmp_path)
    for name, task in (("a-s0", Task.REPORT), ("b-s0", Task.REPORT), ("clip-s0", Task.VQA_OPEN)):
        folder = tmp_path / "runs" / "one" / name
        folder.mkdir(parents=True)
        lines = [
            Prediction(f"{task}/{i}", task, f"{i}", "Describe.", f"mass {i}", f"{name} {i}")
            for i in range(2)
        ]
        text = "".join(to_line(line) + "\n" for line in lines)
        (folder / PREDICTIONS).write_text(text, encoding="utf-8")
    return tmp_path / "runs" / "one"


def judge(stub: StubEndpoint, *arguments) -> int:
    parser = OneLineParser(prog="tomovox")
    add_judge_verb(parser.add_subparsers())
    words = ["judge", *map(str, arguments), "--endpoint", stub.url, "--model", "stub"]
    options = parser.parse_args(words)
    return options.handler(options)


def test_all_runs_of_an_experiment_are_judged(experiment, stub, capsys):
    assert judge(stub, experiment) == 0
    assert len(stub.asked) == 4
    said = capsys.readouterr().out
    assert "a-s0 judge: 2 records, 2 requests, 0 without a score; judge-stub.jsonl" in said
    assert "clip-s0 judge: no answers to judge" in said


def test_records_without_a_score_are_listed(experiment, stub, capsys):
    stub.reply = lambda prompt: "I cannot tell."
    assert judge(stub, experiment / "a-s0") == 0
    assert "  no score: report/0\n  no score: report/1\n" in capsys.readouterr().out


def test_a_long_list_of_records_without_a_score_is_cut(experiment, stub, capsys, monkeypatch):
    monkeypatch.setattr("tomovox.cli_judge.SHOWN", 1)
    stub.reply = lambda prompt: "I cannot tell."
    judge(stub, experiment / "a-s0")
    assert "  ... 1 more: " in capsys.readouterr().out


def test_the_key_comes_from_the_variable_that_is_named(experiment, stub, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret\n")
    judge(stub, experiment / "a-s0", "--api-key-env", "MY_KEY", "--limit", 1)
    assert stub.asked[0][1]["authorization"] == "Bearer secret"


def test_tasks_are_those_that_are_named(experiment, stub):
    judge(stub, experiment, "--task", "vqa_open", "--task", "report", "--limit", 1)
    assert len(stub.asked) == 3


def test_runs_without_anything_to_judge_are_an_error(experiment, stub):
    with pytest.raises(TomovoxError, match="no answers to report in these runs; see --task"):
        judge(stub, experiment / "clip-s0")


def test_a_number_below_one_is_refused(experiment, stub):
    with pytest.raises(TomovoxError, match="'0' is not a number from 1"):
        judge(stub, experiment, "--workers", 0)


def test_scores_of_a_judge_stand_in_the_table_and_need_no_network(experiment, stub, monkeypatch):
    def none(rows):
        raise Unavailable("left out here: it needs data or an encoder")

    for key in ("meteor.m3d", "meteor.standard", "bertscore_f1.m3d"):
        monkeypatch.setitem(METRICS, key, replace(METRICS[key], measure=none))
    stub.reply = lambda prompt: "Score: 30" if "a-s0" in prompt else "Score: 60"
    judge(stub, experiment)

    def no_network(*_, **__):
        raise AssertionError("tomovox score opened a connection")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert main(["score", str(experiment)]) == 0
    table = (experiment / "table.csv").read_text(encoding="utf-8")
    line = r"^report,all,llm_judge,standard,(\w+),0,none,([\d.]+),2,"
    values = re.findall(line, table, re.MULTILINE)
    assert values == [("a", "0.300000"), ("b", "0.600000")]
