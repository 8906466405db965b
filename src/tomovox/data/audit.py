"""What of the validation and test splits has a model met in training?

Cases, reports, volumes and questions are compared across splits; the training split is kept, and
what it shares with the others is said of their records. Series of one case belong together: alike
within their split they are no leak, and in two splits they are told once, as the case.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tomovox.data.audit_report import (
    CASE,
    KINDS,
    QUESTION,
    REPORT_IDENTICAL,
    REPORT_NEAR,
    VOLUME_IDENTICAL,
    VOLUME_NEAR,
    Audit,
    Finding,
    task_and_split,
)
from tomovox.data.audit_rows import RANK, Row, Rows
from tomovox.data.audit_text import near_texts, words_of
from tomovox.data.audit_volumes import CELLS, detail_of, digest_of, near_volumes
from tomovox.data.faults import DataFault
from tomovox.data.volumes import read_volume

Progress = Callable[[int, int], None]

Splits = dict[str, set[str]]
"""The splits of each case. What a case shares with itself is told as the case alone."""


def audit(rows: Rows, progress: Progress | None = None, workers: int = 1) -> Audit:
    """Return what the splits of a data tree share.

    Each volume is read once, `workers` at a time; `progress` is called with (done, in all). A
    finding names for each case, volume or question the closest one of another split. A volume that
    cannot be read is kept as a fault and not compared.
    """
    result = Audit(str(rows.root), faults=list(rows.faults))
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows.rows:
        splits[row.case].add(row.split)
    reports, result.cut["report"] = _reports(rows.rows, splits)
    volumes, result.cut["volume"] = _volumes(rows, splits, result.faults, progress, workers)
    found = [*_cases(splits), *_questions(rows.rows), *_closest(reports), *_closest(volumes)]
    result.findings = sorted(found)
    result.leaked = _leaked(rows.rows, result.findings)
    held_out = {name for row in rows.rows if RANK[row.split] for name in row.ids}
    result.records = Counter(map(task_and_split, held_out))
    return result


def _cases(splits: Splits) -> Iterator[Finding]:
    """Yield each case of two splits, once for each split but its first."""
    for case, found in splits.items():
        first, *later = sorted(found, key=RANK.__getitem__)
        for split in later:
            yield Finding(CASE, split, case, first, case, 1.0)


def _questions(rows: Iterable[Row]) -> Iterator[Finding]:
    """Yield each question that an earlier row of its table, or a split of lower rank, asks too."""
    first: dict[tuple[str, ...], Row] = {}
    in_table: dict[tuple[str, ...], Row] = {}
    for row in sorted(rows, key=lambda row: RANK[row.split]):
        if row.asked:
            key = (row.volume, *(" ".join(text.casefold().split()) for text in row.asked))
            earlier = first.setdefault(key, row)
            twin = in_table.setdefault((row.table, *key), row)
            met = earlier if RANK[earlier.split] < RANK[row.split] else twin
            if met is not row:
                words = len(words_of(row.asked[0]))
                yield Finding(QUESTION, row.split, row.ids[0], met.split, met.ids[0], 1.0, words)


def _reports(rows: Iterable[Row], splits: Splits) -> tuple[list[Finding], int]:
    """Return what is alike in the reports of two cases, and how many reports were cut."""
    words = {report: tuple(words_of(report)) for report in {row.report for row in rows}}
    cases: dict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
    for row in rows:
        if words[row.report]:
            cases[words[row.report], row.split].add(row.case)
    units = sorted(cases)
    first = {unit: min(cases[unit]) for unit in units}
    alike = [
        (REPORT_IDENTICAL, (text, split), (text, other), 1.0)
        for text, split in units
        for other in RANK
        if RANK[other] < RANK[split] and (text, other) in first
    ]
    rank = np.array([RANK[split] for _, split in units], np.int64)
    near, scores, cut = near_texts([text for text, _ in units], rank)
    for (i, j), score in zip(near.tolist(), scores.tolist(), strict=True):
        alike.append((REPORT_NEAR, units[i], units[j], score))
    findings = [
        Finding(kind, unit[1], case, met[1], first[met], score, len(unit[0]))
        for kind, unit, met, score in alike
        for case in cases[unit]
        if met[1] not in splits[case]
    ]
    return findings, cut


def _volumes(
    rows: Rows,
    splits: Splits,
    faults: list[DataFault],
    progress: Progress | None,
    workers: int,
) -> tuple[list[Finding], int]:
    """Return what is alike in the volumes of two cases, and how many volumes were cut."""
    places = {row.volume: row.ids[0] for row in reversed(rows.rows)}  # the first that names it
    names, digests, details = _read_all(rows.root, places, faults, progress, workers)
    number = {name: k for k, name in enumerate(names)}
    units = sorted({(row.volume, row.split) for row in rows.rows if row.volume in number})
    first: dict[tuple[bytes, str], tuple[str, str]] = {}
    for unit in units:
        first.setdefault((digests[number[unit[0]]], unit[1]), unit)
    alike = [
        (VOLUME_IDENTICAL, unit, first[twin], 1.0)
        for unit in units
        for other in RANK
        if RANK[other] < RANK[unit[1]] and (twin := (digests[number[unit[0]]], other)) in first
    ]
    rank = np.array([RANK[split] for _, split in units], np.int64)
    own = [number[name] for name, _ in units]
    near, scores, cut = near_volumes(details[own], rank)
    for (i, j), score in zip(near.tolist(), scores.tolist(), strict=True):
        alike.append((VOLUME_NEAR, units[i], units[j], score))
    cases = {row.volume: row.case for row in rows.rows}
    findings = [
        Finding(kind, split, name, other, met, score)
        for kind, (name, split), (met, other), score in alike
        if other not in splits[cases[name]]
    ]
    return findings, cut


def _read_all(
    root: Path,
    places: dict[str, str],
    faults: list[DataFault],
    progress: Progress | None,
    workers: int,
) -> tuple[list[str], list[bytes], np.ndarray]:
    """Return name, digest and detail of each volume that can be read; others go to `faults`."""

    def look(item: tuple[str, str]) -> tuple[bytes, np.ndarray] | DataFault:
        try:
            voxels = read_volume(root, *item)
        except DataFault as fault:
            return fault
        return digest_of(voxels), detail_of(voxels)

    names: list[str] = []
    digests: list[bytes] = []
    details = np.zeros((len(places), CELLS), np.float16)
    with ThreadPoolExecutor(workers) as pool:
        for done, (name, seen) in enumerate(
            zip(places, pool.map(look, places.items()), strict=True), 1
        ):
            if isinstance(seen, DataFault):
                faults.append(seen)
            else:
                details[len(names)] = seen[1]
                names.append(name)
                digests.append(seen[0])
            if progress:
                progress(done, len(places))
    return names, digests, details[: len(names)]


def _closest(findings: Iterable[Finding]) -> list[Finding]:
    """Return for each id the finding with the closest of each other split, a copy before all."""
    best: dict[tuple[str, str, str], Finding] = {}
    for f in sorted(findings, key=lambda f: (KINDS.index(f.kind), -f.score, f.other_id)):
        best.setdefault((f.split, f.id, f.other_split), f)
    return list(best.values())


def _leaked(rows: Iterable[Row], findings: Iterable[Finding]) -> dict[str, list[str]]:
    """Return the kinds that speak against each record of the validation and test splits."""
    kinds: dict[tuple[str, str], set[str]] = defaultdict(set)
    for f in findings:
        kinds[f.split, f.id].add(f.kind)
    leaked: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if RANK[row.split]:
            units = (row.case, row.volume, row.ids[0])
            if found := set().union(*(kinds.get((row.split, unit), ()) for unit in units)):
                for name in row.ids:
                    leaked[name] |= found
    return {name: sorted(found, key=KINDS.index) for name, found in leaked.items()}
