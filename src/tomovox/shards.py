"""Which of N processes answers which case, and how do their files become one?

A RUN is answered by one plain loop, or by N processes that run that same loop over cases of their
own and do not know of each other. Lightning's own way, `predict` under DDP, is not taken: its
ranks wait for each other, so that one which dies or has fewer batches takes the others with it; it
needs as many batches as ranks; and its launcher starts the whole command again for every rank. What
a study is answered with is the same however many processes there are: its questions are one batch.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment

from tomovox.schema import Record, TomovoxError, read_predictions, to_line

Study = Sequence[Record]


@dataclass(frozen=True)
class Shard:
    """One of the `count` processes that answer a RUN; the first has rank 0."""

    rank: int = 0
    count: int = 1

    def file(self, name: str) -> str:
        """Return what it calls its own file `name`: predictions.partial.0-of-3.jsonl.

        A process that is alone keeps the name.
        """
        stem, _, ending = name.rpartition(".")
        return name if self.count == 1 else f"{stem}.{self.rank}-of-{self.count}.{ending}"


ALONE = Shard()
"""The only process there is."""


def shard_files(folder: Path, name: str) -> list[Path]:
    """Return the files `name` of all processes, of whatever number, that ever wrote in a folder."""
    stem, _, ending = name.rpartition(".")
    known = re.compile(rf"{re.escape(stem)}(\.\d+-of-\d+)?\.{re.escape(ending)}")
    return sorted(path for path in folder.glob(f"{stem}*") if known.fullmatch(path.name))


def divided(studies: Iterable[Study], count: int) -> list[list[Study]]:
    """Divide studies among at most `count` processes, the studies of a case together.

    The case with the most questions that is left goes to the process with the fewest so far, so
    that all have about equally many. No process is left without a study. The same studies are
    always divided in the same way, whatever their order.
    """
    cases: dict[str, list[Study]] = {}
    for study in studies:
        cases.setdefault(study[0].case, []).append(study)
    sizes = {case: sum(map(len, found)) for case, found in cases.items()}
    parts: list[list[Study]] = [[] for _ in range(min(count, len(cases)))]
    questions = [0] * len(parts)
    for case in sorted(cases, key=lambda case: (-sizes[case], case)):
        smallest = questions.index(min(questions))
        parts[smallest] += cases[case]
        questions[smallest] += sizes[case]
    return parts


def merged_lines(files: Sequence[Path]) -> dict[str, str]:
    """Return the lines of the predictions in all files by id.

    Raises TomovoxError on a bad line or an id seen twice.
    """
    lines: dict[str, str] = {}
    for path in files:
        found = {p.id: to_line(p) for p in read_predictions(path)}
        if twice := sorted(found.keys() & lines.keys()):
            raise TomovoxError(
                f"{path}: id {twice[0]} stands there and in another partial file; remove one of "
                f"{', '.join(file.name for file in files)} and predict again"
            )
        lines |= found
    return lines


# ---- devices -----------------------------------------------------------------------------------


def devices_of(arguments: Mapping[str, Any], name: str, alone: bool) -> list[dict[str, Any]]:
    """Return, for each device that a config asks for, the arguments of a trainer of it.

    With `alone` there is one, whatever the config asks for.
    """
    kept = ("accelerator", "enable_progress_bar")
    plain = {key: arguments[key] for key in kept if key in arguments} | {"devices": 1}
    wanted = arguments.get("devices", 1)
    if alone or wanted == 1:
        return [plain]
    found = plain_trainer({**plain, "devices": wanted}, name)
    plain["enable_progress_bar"] = False  # several bars would overwrite each other
    if isinstance(found.accelerator, CPUAccelerator):
        return [plain] * found.num_devices
    return [{**plain, "devices": [device]} for device in found.device_ids]


def plain_trainer(arguments: Mapping[str, Any], name: str, *callbacks: Callback) -> Trainer:
    """Return a trainer that keeps no files of its own; TomovoxError for what is not to be had.

    It starts no processes and belongs to none, whatever a scheduler's variables say.
    """
    try:
        return Trainer(
            **arguments,
            logger=False,
            enable_checkpointing=False,
            callbacks=list(callbacks),
            plugins=[LightningEnvironment()],
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise TomovoxError(f"{name}: trainer: {' '.join(str(error).split())}") from None
