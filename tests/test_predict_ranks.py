"""Do one, two and three processes leave the same files to the last byte, also after a cut?

Seven cases divide by neither two nor three.
"""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from test_cli import RECIPE, SIZE, VISION, complaint, write_yaml

from tomovox.cli import main
from tomovox.configuration import merged
from tomovox.data.phantom import write_phantom
from tomovox.schema import PREDICTIONS, Prediction, read_predictions, to_line
from tomovox.shards import Shard

PARTIAL, TIMING = "predictions.partial.jsonl", "timing.jsonl"
FILES = (PREDICTIONS, "scores.jsonl", "results.json")
VISION2D = {"kind": "conv", "image": SIZE[1], "patch": 16, "width": 16}
MODEL = {
    "class_path": "tomovox.models.med2e3.Med2E3",
    "init_args": {"vision3d": {**VISION, "patch": [4, 8, 8]}, "vision2d": VISION2D},
}
PLAIN = {
    **{"logger": False, "enable_checkpointing": False, "enable_progress_bar": False},
    **{"max_steps": 1, "limit_val_batches": 0},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Seven test cases of two series each."""
    folder = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(folder, cases=10, seed=0, shape=SIZE, difficulty="easy", test_cases=7)
    return folder


@pytest.fixture(scope="module")
def unasked(tmp_path_factory, root) -> Path:
    """A trained RUN that has answered nothing."""
    folder = tmp_path_factory.mktemp("ranks")
    asked = {"tasks": ["vqa_closed"], "permutations": 3, "choice_likelihood": True}
    recipe = merged(RECIPE, {"model": MODEL, "data": asked, "trainer": PLAIN})
    config = write_yaml(folder / "tiny.yaml", recipe, {})
    run = folder / "run"
    given = ["--config", config, "--data.root", str(root), "--trainer.default_root_dir", str(run)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tomovox"])
        assert main(["fit", *given]) == 0
    return run


def fresh(unasked: Path, folder: Path) -> Path:
    return Path(shutil.copytree(unasked, folder / "run"))


def predicted(run: Path, devices: int) -> Path:
    assert main(["predict", str(run), "--devices", str(devices)]) == 0
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory, unasked) -> dict[int, Path]:
    """The same RUN answered by one, two and three processes, and scored; no test changes it."""
    found = {}
    for devices in (1, 2, 3):
        found[devices] = predicted(fresh(unasked, tmp_path_factory.mktemp("of")), devices)
        assert main(["score", str(found[devices])]) == 0
    return found


def timed(run: Path) -> Counter[str]:
    """Count how often each study was answered."""
    lines = (run / TIMING).read_text(encoding="utf-8").splitlines()
    return Counter(json.loads(line)["study"] for line in lines)


# ---- the same files ----------------------------------------------------------------------------


@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize("file", FILES)
def test_processes_leave_the_file_of_one(runs, devices, file):
    assert (runs[devices] / file).read_bytes() == (runs[1] / file).read_bytes()


def test_the_file_has_digits_that_could_differ(runs):
    for prediction in read_predictions(runs[1] / PREDICTIONS):
        assert len(prediction.slice_scores) == SIZE[0]


def test_every_study_is_answered_once_whatever_the_number(runs):
    counts = [timed(run) for run in runs.values()]
    assert counts[0] == counts[1] == counts[2]
    assert len(counts[0]) == 14 and set(counts[0].values()) == {1}


def test_no_file_of_a_single_process_is_left(runs):
    assert not [path.name for run in runs.values() for path in run.glob("*-of-*")]
    assert not [path.name for run in runs.values() for path in run.glob("*partial*")]


def test_predictions_that_are_whole_are_not_made_again(runs):
    before = (runs[1] / PREDICTIONS).stat().st_mtime_ns
    assert (predicted(runs[1], 3) / PREDICTIONS).stat().st_mtime_ns == before


# ---- a cut -------------------------------------------------------------------------------------


def cut(run: Path, whole: Path) -> set[str]:
    """Leave what three processes had said when they were ended; return the cases said whole."""
    answers: dict[str, list[Prediction]] = {}
    for prediction in read_predictions(whole / PREDICTIONS):
        answers.setdefault(prediction.case, []).append(prediction)
    cases = sorted(answers)
    for rank in range(3):
        lines = [to_line(p) for p in answers[cases[rank]]]
        torn = to_line(answers[cases[rank + 3]][0])[:40] if rank == 1 else ""
        content = "".join(f"{line}\n" for line in lines) + torn
        (run / Shard(rank, 3).file(PARTIAL)).write_text(content, encoding="utf-8")
    return set(cases[:3])


@pytest.mark.parametrize("devices", [1, 2])
def test_what_three_processes_began_any_number_ends(tmp_path, unasked, runs, devices):
    run = fresh(unasked, tmp_path)
    done = cut(run, runs[1])
    predicted(run, devices)
    assert (run / PREDICTIONS).read_bytes() == (runs[1] / PREDICTIONS).read_bytes()
    case_of = {p.id: p.case for p in read_predictions(run / PREDICTIONS)}
    assert {case_of[study] for study in timed(run)} == set(case_of.values()) - done


def test_a_process_that_fails_leaves_what_was_answered(tmp_path, unasked, root, runs, capsys):
    run, data = fresh(unasked, tmp_path), tmp_path / "data"
    shutil.copytree(root, data)
    case = sorted({p.case for p in read_predictions(runs[1] / PREDICTIONS)})[-1]
    bad = sorted((data / "M3D_Cap_npy").glob(f"{case}/*.npy"))[-1]
    content = bad.read_bytes()
    bad.write_bytes(content[:200])
    capsys.readouterr()
    where = ["predict", str(run), "--data.root", str(data)]
    assert bad.name in complaint(capsys, *where, "--devices", "2")
    bad.write_bytes(content)
    assert main(where) == 0
    assert (run / PREDICTIONS).read_bytes() == (runs[1] / PREDICTIONS).read_bytes()
    assert set(timed(run).values()) == {1}
