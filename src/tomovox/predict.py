"""What did the model say, to which question? Lines only ever added, found again by their id."""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from tomovox.answering import BY_DEFAULT, Answering, choice_answers, full_float32, in_float32
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.prompts import Template
from tomovox.files import append_lines, mend_last_line, write_atomically
from tomovox.judge.compute import TIMING
from tomovox.left_out import LEFT_OUT, count_left_out, in_words, write_left_out
from tomovox.metrics.masks import write_mask_file
from tomovox.models.base import VolumeLM
from tomovox.moments import reached
from tomovox.progress import say
from tomovox.ranks import do_apart
from tomovox.schema import (
    PREDICTIONS,
    Batch,
    Generated,
    Prediction,
    Record,
    TomovoxError,
    read_predictions,
    to_line,
)
from tomovox.shards import (
    ALONE,
    Shard,
    devices_of,
    divided,
    merged_lines,
    plain_trainer,
    shard_files,
)
from tomovox.training import ends_by_hand

PARTIAL = "predictions.partial.jsonl"
MASKS = "masks"


@dataclass(frozen=True)
class Work:
    """What one process answers: all studies of `datamodule` that are not whole among `skipped`."""

    folder: Path
    datamodule: M3DDataModule
    skipped: frozenset[str]
    load: Callable[[], VolumeLM]
    trainer_arguments: Mapping[str, Any]
    name: str
    answering: Answering
    shard: Shard = ALONE


def answer_all(
    folder: Path,
    model: VolumeLM | None,
    datamodule: M3DDataModule,
    trainer_arguments: Mapping[str, Any],
    name: str,
    load: Callable[[], VolumeLM] | None = None,
    answering: Answering = BY_DEFAULT,
) -> None:
    """Answer every record that has no line yet, then sort the lines into predictions.jsonl.

    Of a config's `trainer_arguments` the accelerator, devices and progress bar count: a study is
    answered by one device, in the way of `answering`. Each of several devices has a process (see
    `shards`), for which `load` gives the model; without `load` one device answers with `model`. A
    run that was begun with some number of devices goes on with any other. Raises TomovoxError when
    the folder holds answers to other records, and for a question that does not fit into memory.
    """
    datamodule.setup("predict")
    studies = datamodule.predict_studies()
    records = [record for study in studies for record in study]
    if (folder / PREDICTIONS).is_file():
        _check_same(folder / PREDICTIONS, records)
        forget_parts(folder)
        say(f"{name} predict: all {len(records)} records are answered already")
        return
    list_left_out(folder, datamodule)
    done = answered(folder, studies)
    devices = devices_of(trainer_arguments, name, alone=load is None)
    parts = divided((study for study in studies if study[0].id not in done), len(devices))
    start = time.perf_counter()
    if load is not None and len(parts) > 1:
        every = frozenset(record.id for record in records)
        rest = [every.difference(r.id for study in part for r in study) for part in parts]
        sent = copy(datamodule)
        sent.trainer = None  # of the training before
        works = [
            Work(folder, sent, rest[i], load, devices[i], name, answering, Shard(i, len(parts)))
            for i in range(len(parts))
        ]
        do_apart(answer, works, name)
    elif parts:
        given = load if model is None else lambda: model
        assert given is not None, "no model to answer with"
        answer(Work(folder, datamodule, frozenset(done), given, devices[0], name, answering))
    finish(folder, records)
    say(f"{name} predict: {len(records)} records, {time.perf_counter() - start:.1f} s")


def answer(work: Work) -> None:
    """Answer what one process has to, on its device, line by line into its own files."""
    model = work.load()
    if work.answering.precision == "32-true":
        in_float32(model)
    template = work.datamodule.template
    work.datamodule.skip(work.skipped)
    if work.datamodule.choice_likelihood:
        model.choice_answers = partial(choice_answers, template)
    model.at_once = work.answering.at_once(lambda line: say(f"{work.name} predict: {line}"))
    writer = PredictionWriter(work.folder, template, work.shard)
    arguments = {**work.trainer_arguments, "precision": work.answering.precision}
    trainer = plain_trainer(arguments, work.name, writer)
    with full_float32(), ends_by_hand(trainer):
        trainer.predict(model, datamodule=work.datamodule, return_predictions=False)


def list_left_out(folder: Path, datamodule: M3DDataModule) -> None:
    """Write left_out.tsv for what is set up, and say how many records it lists when that is new."""
    before = count_left_out(folder)
    write_left_out(folder, datamodule.left_out, datamodule.checked_splits)
    counts = count_left_out(folder)
    if counts and counts != before:
        say(
            f"[yellow]left out[/yellow], their volumes cannot be read: {in_words(counts)} records; "
            f"see {folder / LEFT_OUT}"
        )


def _check_same(path: Path, records: Sequence[Record]) -> None:
    """Raise TomovoxError unless the file answers just these records."""
    there = {(p.id, p.question, p.reference) for p in read_predictions(path)}
    if there != {(r.id, r.question, r.reference) for r in records}:
        raise TomovoxError(
            f"{path}: answers to other records than the {len(records)} asked for; move it away "
            f"to predict these"
        )


class PredictionWriter(BasePredictionWriter):
    """Append one line per record once its study is answered; cost goes to timing.jsonl.

    There `study` is the id of the study's first record: of one that is answered again, as a cut
    run's may be, the last line counts. `peak_mib` is the most main memory that this process has
    held since it began to predict, or at all where the system forgets no peak.
    """

    def __init__(self, folder: Path, template: Template, shard: Shard = ALONE):
        super().__init__(write_interval="batch")
        self.folder, self.template, self.shard = folder, template, shard
        self.started = 0.0

    def on_predict_start(self, *_: Any) -> None:
        """Forget the peak memory of what the process did before: training, other rows."""
        with suppress(OSError):  # only Linux has this file, and a container may forbid to write it
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def on_predict_batch_start(self, *_: Any) -> None:
        """Start the clock of a batch."""
        self.started = time.perf_counter()

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Generated,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the lines of one study."""
        seconds = time.perf_counter() - self.started
        scores = prediction.slice_scores
        answers = [
            Prediction.of(
                record, self.template.decode(ids), () if scores is None else scores[i].tolist()
            )
            for i, (record, ids) in enumerate(
                zip(batch.records, prediction.ids.tolist(), strict=True)
            )
        ]
        keep_masks(self.folder, answers, prediction, batch)
        if prediction.choice_logprobs is not None:
            for answer, found in zip(answers, prediction.choice_logprobs, strict=True):
                answer.choice_logprobs = tuple(round(logprob, 6) for logprob in found)
        lines = [to_line(answer) for answer in answers]
        append_lines(self.folder / self.shard.file(PARTIAL), lines)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        timing = {
            "study": batch.records[0].id,
            "case": batch.records[0].case,
            "questions": len(lines),
            "seconds": round(seconds, 4),
            "peak_mib": round(peak),
        }
        append_lines(self.folder / self.shard.file(TIMING), [json.dumps(timing)])


def keep_masks(folder: Path, answers: Sequence[Prediction], said: Generated, batch: Batch) -> None:
    """Write the drawn masks of a batch beside the true ones; note files and sums in `answers`.

    A voxel is drawn where its probability is above 1/2.
    """
    if said.mask_logits is None or batch.masks is None or batch.mask_rows is None:
        return
    for logits, there, row in zip(said.mask_logits, batch.masks, batch.mask_rows, strict=True):
        answer, p, true = answers[int(row)], logits.float().sigmoid(), there.cpu()
        sums = (p.sum(), true.sum(), p[true].sum())
        answer.soft = tuple(round(float(s), 4) for s in sums)
        answer.mask = mask_name(answer.id)
        drawn = (p > 0.5)[0].numpy()
        write_mask_file(folder / answer.mask, drawn, true[0].numpy())


def mask_name(record: str) -> str:
    """Return where a RUN folder keeps the masks of a record."""
    return f"{MASKS}/{record.replace('/', '-')}.npz"


def answered(folder: Path, studies: Sequence[Sequence[Record]]) -> set[str]:
    """Return the ids of the studies that a cut run, of however many processes, answered whole."""
    files = shard_files(folder, PARTIAL)
    return {name for path in files for name in answered_in(path, studies)}


def answered_in(path: Path, studies: Sequence[Sequence[Record]]) -> set[str]:
    """Return the ids of the studies that a partial file answers whole.

    What it left of a study answered in part, and a torn last line, is cut off the file and said.
    Raises TomovoxError when a line answers another question, or none: that of other data.
    """
    mend_last_line(path)
    records = {r.id: r for study in studies for r in study}
    lines = {}
    for p in read_predictions(path):
        r = records.get(p.id)
        if r is None or (p.question, p.reference) != (r.question, r.reference):
            what = (
                "which the data do not ask" if r is None else "another question than the data ask"
            )
            raise TomovoxError(
                f"{path}: answers {p.id}, {what}; give the data that it was begun with, or move "
                f"the file away"
            )
        lines[p.id] = to_line(p)
    whole = {r.id for study in studies if all(r.id in lines for r in study) for r in study}
    kept = {i: line for i, line in lines.items() if i in whole}
    if len(kept) < len(lines):
        write_atomically(path, "".join(f"{line}\n" for line in kept.values()))
        sys.stderr.write(
            f"{path}: {len(lines) - len(kept)} answers of a cut study are asked again\n"
        )
    return set(kept)


def finish(folder: Path, records: Sequence[Record]) -> int:
    """Sort the lines of all partial files by id into predictions.jsonl; return how many there are.

    Raises TomovoxError when a record has no line or two, or a line no record.
    """
    files = shard_files(folder, PARTIAL)
    lines = merged_lines(files)
    wanted = {r.id for r in records}
    missing, extra = sorted(wanted - lines.keys()), sorted(lines.keys() - wanted)
    if missing or extra:
        raise TomovoxError(
            f"{folder / PARTIAL}: {len(missing)} records unanswered {missing[:3]}, {len(extra)} "
            f"unknown {extra[:3]}; run again, or remove the file to predict anew"
        )
    _merge_timing(folder)
    # One file is renamed, so that a kill leaves nothing beside the whole; several are removed.
    whole = files[0] if len(files) == 1 else folder / PREDICTIONS
    write_atomically(whole, "".join(f"{lines[i]}\n" for i in sorted(lines)))
    whole.replace(folder / PREDICTIONS)
    reached("after", folder / PREDICTIONS)
    for path in files:
        path.unlink(missing_ok=True)
    return len(lines)


def forget_parts(folder: Path) -> None:
    """Remove the partial files that a kill left after they were merged."""
    for left in shard_files(folder, PARTIAL):
        left.unlink()


def _merge_timing(folder: Path) -> None:
    """Append the timing of every process to timing.jsonl; of a study's lines the last counts."""
    for path in shard_files(folder, TIMING):
        if path.name != TIMING:
            append_lines(folder / TIMING, path.read_text(encoding="utf-8").splitlines())
            path.unlink()
