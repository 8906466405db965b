"""How large is the model of a row, and what does an answer cost? Counted from the row's own config.

The count is that of `sizes`, on the run's vocabulary and volumes, and lies beside the results.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

from tomovox.cell import Cell, FitStage, build
from tomovox.configuration import TomovoxCLI, merged, one_line
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.volumes import volume_shape
from tomovox.files import write_atomically
from tomovox.judge.compute import SIZE
from tomovox.models.base import VolumeLM, count_parameters
from tomovox.models.clip_training import ClipTraining
from tomovox.progress import say
from tomovox.schema import TomovoxError
from tomovox.sizes import ModelSize, build_on_meta, costs_of

MEASURED = 32
"""Studies whose sizes are looked at."""

NO_NETWORK = "a floor, so there is no network to count"


def write_size(cell: Cell) -> None:
    """Write size.json of a row once: the figures of its ModelSize, and its shared stages.

    `shared` are the folders of these below the experiment's. A row that cannot be counted has no
    file: why is said, nothing stops, and the next call counts again.
    """
    path = cell.folder / SIZE
    if path.is_file():
        return
    try:
        size = ModelSize(cell.name, note=NO_NETWORK) if cell.floor else size_of_cell(cell)
    except (TomovoxError, ValueError, RuntimeError, TypeError) as error:
        # What anyone's model raises where it asks a tensor of the meta device for its values.
        say(f"{cell.name}: size not counted: {one_line(str(error))}")
        return
    figures = asdict(size)
    del figures["recipe"]
    shared = sorted(Path(n).relative_to(cell.folder.parent).as_posix() for n in cell.needs)
    figures["shared"] = None if cell.floor else shared
    write_atomically(path, json.dumps(figures, indent=1) + "\n")


def size_of_cell(cell: Cell) -> ModelSize:
    """Return the sizes of a row's model; `trainable` is of the last stage that trains anything.

    Where the model fixes no size, the study is the one with the median number of slices among the
    first MEASURED that are predicted; the prompt has the nominal length. Raises what the model or
    its data raise where they cannot be counted.
    """
    config = {**cell.config, "trainer": {"accelerator": "cpu", "devices": 1}}
    if not cell.retrieval:
        config = merged(config, {"data": {"limit": MEASURED}})
    plain = replace(cell, config=config)
    stages: list[FitStage | None] = [*reversed(cell.fit)] or [None]
    for stage in stages:
        cli = build(plain, stage, None)
        model = cli.model
        assert isinstance(model, VolumeLM | ClipTraining)
        build_on_meta(model)
        trainable, parameters = count_parameters(model)
        if trainable:
            break
    if not (cell.fit or cell.retrieval):
        trainable = 0  # predicted as it came
    return ModelSize(cell.name, parameters, trainable, **costs_of(model, _series_shapes(cli)))


def _series_shapes(cli: TomovoxCLI) -> list[tuple[int, int, int]]:
    """Return (D, H, W) of the series of a usual study; none where the model fixes its own."""
    model, data = cli.model, cli.datamodule
    if not isinstance(model, VolumeLM) or model.volume_shape:
        return []
    assert isinstance(data, M3DDataModule)
    data.setup("predict")
    studies = [
        [volume_shape(data.root, volume, study[0].id) for volume in study[0].volumes]
        for study in data.predict_studies()
    ]
    studies.sort(key=lambda shapes: sum(depth for depth, _, _ in shapes))
    return studies[len(studies) // 2]
