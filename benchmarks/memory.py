"""Does memory grow with the number of predictions? Bytes per prediction, answering and scoring.

usage: python benchmarks/memory.py [--predictions 20000] [--output benchmarks/results/memory.json]

Many small phantom cases (two series of 8 x 16 x 16 voxels a case, about 12 questions a series: as
M3D-Data ask), not many questions of one volume: a batch is one series, so that as many batches pass
as would of real data. One `tomovox fit` step makes the smallest M3D-LaMed; `tomovox predict`
answers in a process of its own, whose resident memory is read from outside four times a second,
beside the number of lines in predictions.partial.jsonl. Then `tomovox score` scores the first
quarter, half and all of these lines, and `tomovox compare` makes the table of the kept scores, each
in a new process, whose peak the system tells.

Slopes are least squares: of prediction over the samples of its second half, of scoring and table
over the three peaks. Prediction holds the records of the split from its start (`start`, not in the
slope); when all are answered it holds all lines, to sort them (`end`). Scoring and table hold what
each record contributed to each metric; the peak of scoring is that of BERTScore until these are
more. Linux alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from measured import commit

from tomovox.data.phantom import write_phantom
from tomovox.predict import PARTIAL
from tomovox.schema import PREDICTIONS

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (8, 16, 16)
OTHER_CASES = 4
"""Cases that train, or are the validation split."""

CONFIG: dict[str, Any] = {
    "model": {
        "class_path": "tomovox.models.m3d_lamed.M3DLaMed",
        "init_args": {
            "vision3d": {"image": [*SHAPE], "patch": [4, 8, 8], "width": 16, "layers": 1}
            | {"heads": 2, "mlp": 16, "frozen": False},
            "language": {
                "model_type": "llama",
                "architecture": {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
                | {"num_attention_heads": 2, "num_key_value_heads": 2},
            },
            "max_new_tokens": 4,
        },
    },
    "data": {
        "batch_size": 2,
        "template": {
            "class_path": "tomovox.data.prompts.Template",
            "init_args": {"layout": "<image> {question} Answer:"},
        },
    },
    "trainer": {"accelerator": "cpu", "max_steps": 1, "enable_progress_bar": False},
}


class Sample(NamedTuple):
    """Resident bytes of a process when so many predictions were in its file."""

    predictions: int
    resident: int


def slope(samples: Sequence[Sample]) -> float:
    """Return the bytes per prediction of a least-squares line."""
    predictions, resident = np.array(samples, float).T
    return float(np.polyfit(predictions, resident, 1)[0])


def command(*arguments: str | Path) -> list[str]:
    """Return what starts `tomovox` with this Python."""
    start = "import sys; from tomovox.cli import main; sys.exit(main())"
    return [sys.executable, "-c", start, *map(str, arguments)]


def prepare(scratch: Path, predictions: int) -> Path:
    """Write data with at least so many test questions and a RUN folder; return the folder."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["data"]["root"] = str(scratch / "data")
    config["trainer"] |= {"logger": False, "default_root_dir": str(scratch / "run")}
    cases = -(-predictions // 24)
    few = OTHER_CASES // 2
    write_phantom(scratch / "data", cases + OTHER_CASES, 0, SHAPE, test_cases=cases, val_cases=few)
    (scratch / "fit.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    fit = command("fit", "--config", scratch / "fit.yaml")
    subprocess.run(fit, check=True, capture_output=True)
    return scratch / "run"


def watched(run: Path, seconds: float = 0.25) -> tuple[list[Sample], int]:
    """Predict a RUN; return samples while lines came, and the peak of the whole process in bytes.

    Raises RuntimeError when the command fails.
    """
    samples: list[Sample] = []
    lines = place = first = 0
    with (run.parent / "log").open("wb") as log:
        process = subprocess.Popen(command("predict", run), stdout=log, stderr=log)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if (run / PARTIAL).is_file():
                with (run / PARTIAL).open("rb") as stream:
                    number = os.fstat(stream.fileno()).st_ino
                    first = first or number
                    stream.seek(place)
                    new = stream.read() if number == first else b""  # else all lines, sorted
                if new:
                    lines, place = lines + new.count(b"\n"), place + len(new)
                    samples.append(Sample(lines, resident_of(process.pid)))
            time.sleep(seconds)
        return samples, peak_of(process)


def resident_of(process: int) -> int:
    """Return the resident bytes of a running process."""
    fields = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; return the most resident bytes it had, RuntimeError when it fails."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(process.args[3:])}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024


def peaks_of(run: Path, folder: Path, lines: int) -> tuple[Sample, Sample]:
    """Score the first lines of a RUN in a folder of their own, then make the table; return peaks.

    That is of the process that scored, and of the one that read the kept scores.
    """
    folder.mkdir(parents=True)
    with (run / PREDICTIONS).open("rb") as stream:
        (folder / PREDICTIONS).write_bytes(b"".join(islice(stream, lines)))
    peaks = []
    for verb in ("score", "compare"):
        with (folder.parent / "log").open("wb") as log:
            process = subprocess.Popen(command(verb, folder), stdout=log, stderr=log)
            peaks.append(Sample(lines, peak_of(process)))
    return peaks[0], peaks[1]


def memory(scratch: Path, predictions: int) -> dict[str, Any]:
    """Return what prediction and scoring hold, in bytes."""
    run = prepare(scratch, predictions)
    begun = time.perf_counter()
    samples, peak = watched(run)
    answering = time.perf_counter() - begun
    answered = (run / PREDICTIONS).read_bytes().count(b"\n")
    later = [sample for sample in samples if sample.predictions >= answered / 2]
    parts = [answered // 4, answered // 2, answered]
    peaks = [peaks_of(run, scratch / f"scored{n}" / "run", n) for n in parts]
    scoring, table = ([pair[i] for pair in peaks] for i in (0, 1))
    return {
        "predictions": answered,
        "prediction": {
            "seconds": round(answering, 1),
            "bytes_per_prediction": round(slope(later), 1),
            "start": samples[0].resident,
            "half": later[0].resident,
            "last": later[-1].resident,
            "end": peak,
            "samples": samples[:: max(1, len(samples) // 40)],
        },
        "scoring": {"bytes_per_prediction": round(slope(scoring), 1), "peaks": scoring},
        "table": {"bytes_per_prediction": round(slope(table), 1), "peaks": table},
    }


def main() -> None:
    """Write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=int, default=20_000)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/memory.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = memory(Path(scratch), given.predictions)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"commit": commit()} | outcome) + "\n"
    given.output.write_text(text, encoding="utf-8")
    for name in ("prediction", "scoring", "table"):
        print(f"{name}: {outcome[name]['bytes_per_prediction']:,.0f} bytes per prediction")


if __name__ == "__main__":
    main()
