"""Which scores of a run still hold, so that reading them says what scoring again would?"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tomovox.judge.clinical import CLINICAL_FILE
from tomovox.judge.llm_verdicts import find_verdict_file
from tomovox.judge.score import ALL, RESULTS, Row, Sample, Scores, read_samples, results_json
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.parsed import is_count, is_number, json_of
from tomovox.schema import PREDICTIONS, TomovoxError, read_predictions


def read_scores(folder: Path) -> Scores | None:
    """Return what `score_run` wrote into a RUN folder; None where scoring again could differ.

    It holds for the same predictions, versions and signatures when no metric was unavailable and
    scores.jsonl has a line for each record that counts. A run with verdicts of a language model or
    with labels is always scored again. Raises TomovoxError when it has several judges.
    """
    if find_verdict_file(folder) is not None or (folder / CLINICAL_FILE).is_file():
        return None
    try:
        digest = hashlib.sha256((folder / PREDICTIONS).read_bytes()).hexdigest()
        results = json_of((folder / RESULTS).read_bytes())
        samples = list(read_samples(folder))
        if not (_as_now(results, digest) and _whole(results["rows"], samples)):
            return None
        if not all(map(is_count, dict(results["unscored"]).values())):
            return None
        records = {p.id: (p.case, p.reference) for p in read_predictions(folder / PREDICTIONS)}
        return Scores(samples, results["rows"], results["unscored"], records)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, TomovoxError):
        return None  # absent, torn, or of another version


def _as_now(results: dict[str, Any], digest: str) -> bool:
    """Whether predictions, versions and signatures are those that scoring would find now."""
    now = json.loads(results_json(Scores(), digest))
    same = all(results[name] == now[name] for name in ("predictions_sha256", "python", "versions"))
    return same and all(
        key in METRICS and METRICS[key].signature() == signature
        for key, signature in results["signatures"].items()
    )


def _whole(rows: list[Row], samples: list[Sample]) -> bool:
    """Whether every metric ran, and each has as many samples as its row counts."""
    texts = ("task", "question_type", "metric", "protocol", "signature")
    if not all(isinstance(row[name], str) for row in rows for name in texts):  # type: ignore[literal-required]
        return False
    # A row without a value has a note: what was lacking may have come.
    if not all(is_number(row["value"]) and is_count(row["n"]) for row in rows):
        return False
    found = Counter((s["task"], metric_key(s["metric"], s["protocol"])) for s in samples)
    return found == {
        (row["task"], metric_key(row["metric"], row["protocol"])): row["n"]
        for row in rows
        if row["question_type"] == ALL
    }
