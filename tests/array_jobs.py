"""Jobs for the tests of the executor, in a module that a task on a node imports quickly."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

from tomovox.schema import TomovoxError


def note(path: str) -> None:
    """Write which jobs were done before, by their files, to a file of its own."""
    place = Path(path)
    before = sorted(p.name for p in place.parent.iterdir() if p.is_file())
    place.write_text(" ".join(before), encoding="utf-8")


def complain(path: str) -> None:
    raise TomovoxError(f"{path}: broken")


def die(path: str) -> None:
    """End without a result, as for want of memory."""
    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os._exit(1)


def train_on_two_devices(path: str) -> None:
    from lightning import Trainer
    from lightning.pytorch.demos.boring_classes import BoringModel

    Trainer(accelerator="cpu", devices=2, logger=False, max_steps=1).fit(BoringModel())


def hang_once(path: str) -> None:
    """Hang at the first call; at the next, note what the first has left."""
    place = Path(path)
    begun = place.with_name("begun")
    if begun.exists():
        note(path)
        return
    begun.touch()
    threading.Event().wait()


def wait_for_leave(path: str) -> None:
    """Work until the file `leave` beside the path appears."""
    _wait_for_leave(Path(path))
    note(path)


def _wait_for_leave(place: Path) -> None:
    for _ in range(3000):
        if place.with_name("leave").exists():
            return
        threading.Event().wait(0.1)
    raise AssertionError("nobody lets it leave")


def note_begin_and_end(path: str) -> None:
    """Append a line, wait until the file `leave` beside the path appears, append another."""
    place = Path(path)
    for word in ("begin", "end"):
        with place.open("a", encoding="utf-8") as stream:
            stream.write(f"{word}\n")
        if word == "begin":
            _wait_for_leave(place)


def hang_after_the_first_answers(cell: Any) -> None:
    """Make a row; the first time, hang once the answers about one study are on the disk."""
    from tomovox import cell as making
    from tomovox import predict

    hung = cell.folder / "hung"
    if not hung.exists():
        append = predict.append_lines

        def append_and_hang(path: Path, lines: list[str]) -> None:
            append(path, lines)
            if path.name == predict.PARTIAL:
                hung.touch()
                threading.Event().wait()

        predict.append_lines = append_and_hang
    making.make_cell(cell)
