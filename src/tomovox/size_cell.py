"""How large is the model of a row, and what does an answer cost? Counted from the row's own config.

The count is that of `sizes`, on the run's vocabulary and volumes, and lies beside the results.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

from tomovox.cell import Cell, FitStage, build
from tomovox.configuration import TomovoxCLI, merged, one_line
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.volumes import read_volume
from tomovox.files import write_atomically
from tomovox.judge.compute import SIZE
from tomovox.models.base import VolumeLM, count_parameters
from tomovox.models.clip_training import ClipTraining
from tomovox.progress import say
from tomovox.schema import TomovoxError
from tomovox.sizes import ModelSize, build_on_meta, costs_of

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

    The volume is the first one that is predicted where the model fixes no size; the prompt has the
    nominal length. Raises what the model or its data raise where they cannot be counted.
    """
    config = {**cell.config, "trainer": {"accelerator": "cpu", "devices": 1}}
    if not cell.retrieval:
        config = merged(config, {"data": {"limit": 1}})
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
    return ModelSize(cell.name, parameters, trainable, **costs_of(model, _volume_shape(cli)))


def _volume_shape(cli: TomovoxCLI) -> tuple[int, int, int] | None:
    """Return (D, H, W) of the first volume to predict; None where the model fixes its own."""
    model, data = cli.model, cli.datamodule
    if not isinstance(model, VolumeLM) or model.volume_shape:
        return None
    assert isinstance(data, M3DDataModule)
    data.setup("predict")
    first = data.predict_studies()[0][0]
    depth, height, width = read_volume(data.root, first.volumes[0], first.id).shape[1:]
    return depth, height, width
