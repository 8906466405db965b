"""Which scores of a run still hold, so that reading them says what scoring again would?"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tomovox.judge.llm_verdicts import find_verdict_file
from tomovox.judge.score import ALL, RESULTS, SAMPLES, Row, Sample, Scores, results_json
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.schema import PREDICTIONS, read_predictions


def read_scores(folder: Path) -> Scores | None:
    """Return what `score_run` wrote into a RUN folder; None where scoring again could differ.

    It holds for the same predictions, versions and signatures when no metric was unavailable and
    scores.jsonl has a line for each record that counts. A run with verdicts of a language model is
    always scored again. Raises TomovoxError when it has several judges.
    """
    if find_verdict_file(folder) is not None:
        return None
    try:
        digest = hashlib.sha256((folder / PREDICTIONS).read_bytes()).hexdigest()
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        with (folder / SAMPLES).open(encoding="utf-8") as stream:
            samples: list[Sample] = [json.loads(line) for line in stream]
        if not (_as_now(results, digest) and _whole(results["rows"], samples)):
            return None
        records = {p.id: (p.case, p.reference) for p in read_predictions(folder / PREDICTIONS)}
        return Scores(samples, results["rows"], results["unscored"], records)
    except (OSError, ValueError, KeyError, TypeError):
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
    if any("note" in row for row in rows):
        return False  # what was lacking may have come
    found = Counter((s["task"], metric_key(s["metric"], s["protocol"])) for s in samples)
    return found == {
        (row["task"], metric_key(row["metric"], row["protocol"])): row["n"]
        for row in rows
        if row["question_type"] == ALL
    }
