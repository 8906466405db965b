"""Does every task have a protocol, and does it name the metrics that there are?"""

from pathlib import Path

import pytest
import yaml

from tomovox.judge.protocols import FOLDER, Decoding, read_protocol, task_protocol
from tomovox.metrics.catalogue import METRICS, metric_key, metrics_of
from tomovox.metrics.metric import PROTOCOLS
from tomovox.schema import Task, TomovoxError


def test_every_task_has_a_file_and_every_file_a_task():
    assert {path.stem for path in FOLDER.iterdir()} == set(Task)


@pytest.mark.parametrize("task", Task)
def test_the_metrics_of_a_task_are_those_of_its_file(task):
    named = task_protocol(task).metrics
    keys = [metric_key(name, protocol) for protocol in named for name in named[protocol]]
    assert sorted(keys) == sorted(metrics_of(task))


@pytest.mark.parametrize("task", Task)
def test_the_primary_metric_means_what_its_name_says(task):
    metric = METRICS[task_protocol(task).primary]
    assert task in metric.tasks and metric.protocol == "standard"


@pytest.mark.parametrize("task", Task)
def test_a_file_holds_the_versions_of_the_signatures(task):
    assert task_protocol(task).version == PROTOCOLS


@pytest.mark.parametrize("task", Task)
def test_what_is_generated_is_generated_as_published(task):
    published = None if task == Task.RETRIEVAL else Decoding("greedy", 256)
    assert task_protocol(task).decoding == published


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)
def test_a_file_opens_with_the_question_of_its_task(path):
    assert path.read_text(encoding="utf-8").startswith("# ")


# ---- files that are refused ------------------------------------------------------------------


def changed(folder: Path, **keys: object) -> Path:
    """Write the protocol of closed questions with other values; None takes a key away."""
    content = yaml.safe_load((FOLDER / "vqa_closed.yaml").read_text(encoding="utf-8")) | keys
    path = folder / "vqa_closed.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"split": None}, "'split' is missing; the keys are task, split"),
        ({"colour": "red"}, "'colour' is not known"),
        ({"task": "report"}, "task 'report' must be a task and the file's name"),
        ({"parser": 3}, "parser must be a text"),
        ({"metrics": {"m3d": ["accuracy"], "standard": []}}, "the catalogue has"),
        ({"version": {"m3d": 0, "standard": 1}}, "version is {'m3d': 0"),
        ({"primary": "accuracy"}, "primary 'accuracy' is no metric; known: accuracy.m3d"),
        ({"decoding": {"strategy": "beams", "max_new_tokens": 4}}, "decoding is {'max_new"),
        ({"decoding": {"strategy": "greedy"}}, "write {strategy: greedy, max_new_tokens: N}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_file_with_a_fault_is_refused_on_one_line(tmp_path, keys, fault):
    with pytest.raises(TomovoxError) as caught:
        read_protocol(changed(tmp_path, **keys))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/vqa_closed.yaml: ") and fault in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "fault"), [("a: [", "not YAML"), ("- a", "not a mapping"), (None, "cannot be read")]
)
def test_what_is_no_protocol_is_refused(tmp_path, text, fault):
    path = tmp_path / "report.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TomovoxError, match=fault):
        read_protocol(path)
