"""What did a language model say of a run's answers? Its verdicts as a file, and as metrics.

Nothing here opens a connection: `tomovox judge` writes the file, `tomovox score` reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tomovox.metrics.metric import Metric, Rows
from tomovox.parsed import json_of
from tomovox.schema import Prediction, Task, TomovoxError

JUDGED = (Task.REPORT, Task.CASE_REPORT, Task.VQA_OPEN)
"""The tasks whose answers a language model can be asked to grade."""

PATTERN = "judge-*.jsonl"


@dataclass(frozen=True)
class Verdict:
    """A line of RUN/judge-<model>.jsonl: the `score` that a `reply` gives, None if it gives none.

    `id` is the record that was asked about; its verdict holds for every record with the same
    `key`. `prompt` names the prompt, `asked` is the model that was asked for and `model` the one
    that the server says it was.
    """

    id: str
    key: str
    score: float | None
    reply: str
    prompt: str
    asked: str
    model: str


def verdict_key(prediction: Prediction, prompt: str, asked: str) -> str:
    """Return what a verdict depends on, as a digest: question, reference, answer, prompt, model."""
    parts = [prediction.question, prediction.reference, prediction.text, prompt, asked]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def new_verdict_file(folder: Path, asked: str) -> Path:
    """Return where a run keeps the verdicts of a model: folder/judge-<its name in [a-z0-9.-]>."""
    name = re.sub(r"[^a-z0-9.]+", "-", asked.lower()).strip("-.")
    return folder / PATTERN.replace("*", name or "model")


def find_verdict_file(folder: Path) -> Path | None:
    """Return the file of verdicts of a run, None if it has none; TomovoxError if it has several."""
    files = sorted(folder.glob(PATTERN))
    if len(files) > 1:
        raise TomovoxError(
            f"{folder}: {' and '.join(path.name for path in files)}: a run has one judge; move "
            f"the others away"
        )
    return files[0] if files else None


def read_verdicts(path: Path) -> list[Verdict]:
    """Return the verdicts of a file in its order, without the torn last line of a cut call.

    Raises TomovoxError, with the line, on what is no verdict.
    """
    *lines, _ = path.read_bytes().decode("utf-8", errors="replace").split("\n")
    return [_verdict(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def to_verdict_line(verdict: Verdict) -> str:
    """Return the JSON line of a verdict, without newline; a reply may be no valid Unicode."""
    return json.dumps(asdict(verdict))


def llm_metrics(folder: Path, predictions: Iterable[Prediction]) -> list[Metric]:
    """Return the metrics llm_judge and llm_judge_parsed of a run; none where nothing was judged.

    llm_judge is the mean score over 100 of the records with a score, llm_judge_parsed the share
    of the judged records that have one. Of a file with several prompts the last one counts.
    Raises TomovoxError when the run has several judges or its file is bad.
    """
    path = find_verdict_file(folder)
    verdicts = read_verdicts(path) if path else []
    if not verdicts:
        return []
    prompt, asked = verdicts[-1].prompt, verdicts[-1].asked
    wanted = {verdict_key(p, prompt, asked) for p in predictions if p.task in JUDGED}
    found = {verdict.key: verdict for verdict in verdicts if verdict.key in wanted}
    judges = sorted({re.sub(r"[^\w.:/@-]+", "-", verdict.model) for verdict in found.values()})

    def measure(rows: Rows) -> list[Verdict | None]:
        return [found.get(verdict_key(row, prompt, asked)) for row in rows]

    details = f"avg:record|judge:{'+'.join(judges)}|prompt:{prompt}|unparsed:"
    return [
        Metric("llm_judge", "standard", JUDGED, f"{details}out", "tomovox", measure, _share),
        Metric("llm_judge_parsed", "standard", JUDGED, f"{details}0", "tomovox", measure, _parsed),
    ]


def _share(verdict: Verdict | None) -> float | None:
    return verdict.score / 100 if verdict is not None and verdict.score is not None else None


def _parsed(verdict: Verdict | None) -> float | None:
    return None if verdict is None else float(verdict.score is not None)


def _verdict(line: str, place: str) -> Verdict:
    names = [field.name for field in fields(Verdict)]
    try:
        row: Any = json_of(line)
        values = {name: row[name] for name in names}
    except (ValueError, KeyError, TypeError):
        values = {}
    score = values.pop("score", None)
    number = isinstance(score, int | float) and not isinstance(score, bool)
    right = score is None or (number and 0 <= score <= 100)
    if not values or not right or not all(isinstance(text, str) for text in values.values()):
        raise TomovoxError(
            f"{place}: no verdict: {', '.join(names)}, all text but score, which is null or 0 to "
            f"100; remove the line and judge again"
        )
    return Verdict(**values, score=score)
