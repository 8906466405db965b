"""Does a row note what its training took?"""

import json
from pathlib import Path

from test_experiment import tiny

from tomovox.cell import trained
from tomovox.experiment import ExperimentRun


def test_training_notes_every_question_that_it_saw(tmp_path: Path):
    path = tiny(tmp_path, shared={})  # 2 volumes a batch, 2 of the many questions of each
    cell = next(c for c in ExperimentRun(path, tmp_path / "a").cells()[0] if c.model == "m3d_lamed")
    trained(cell)
    lines = (cell.folder / "training.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["samples"] for line in lines] == [1 * 2 * 2, 2 * 2 * 2]
