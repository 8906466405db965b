"""How does the row of a dual encoder come about? Train on pairs, then embed the test pairs.

Under a control it embeds the same reports, and every volume of the gallery tampered with.

Every step leaves a file, and a step whose file exists is not done again.
"""

import json
from pathlib import Path

import torch

from tomovox.answering import full_float32
from tomovox.cell import Cell, fit_counted
from tomovox.configuration import Config, TomovoxCLI, instantiate, merged
from tomovox.data.report_pairs import PairBatch, ReportPairs
from tomovox.data.tokenizer import save_tokenizer
from tomovox.files import append_lines, write_atomically
from tomovox.metrics.retrieval import encode_embedding
from tomovox.models.clip_training import ClipTraining, save_encoder
from tomovox.models.released import load_weights
from tomovox.models.weights import WEIGHTS_FILE
from tomovox.progress import say
from tomovox.ranks import do_together
from tomovox.schema import PREDICTIONS, Prediction, to_line
from tomovox.training import forget_cuts

TOKENIZER = "tokenizer"


def make_retrieval(cell: Cell) -> None:
    """Train the dual encoder of a cell if its weights are missing, and embed the test pairs."""
    cli = _built(cell)
    weights, devices = cell.folder / WEIGHTS_FILE, cli.trainer.num_devices
    if not weights.is_file() and devices > 1:
        do_together(_train_together, cell, devices, cell.name)
    elif not weights.is_file():
        _train(cell, cli)
    _load(cli.model, weights)  # just trained, too: a precision may have left other numbers
    forget_cuts(cell.folder)
    embed_pairs(cell.folder, cell.name, cli.model, cli.datamodule)


def _train_together(cell: Cell) -> None:
    """Train as one of the processes that `do_together` starts."""
    _train(cell, _built(cell))


def _train(cell: Cell, cli: TomovoxCLI) -> None:
    """Fit and leave weights and tokenizer; of several processes the first one writes."""
    model, data, trainer = cli.model, cli.datamodule, cli.trainer
    figures = fit_counted(cell, cli, "contrastive", cell.name)
    if trainer.is_global_zero:
        append_lines(cell.folder / "training.jsonl", [json.dumps(figures)])
        if data.tokenizer is None:
            save_tokenizer(data.text_tokenizer, cell.folder / TOKENIZER)
        save_encoder(model, cell.folder / WEIGHTS_FILE)  # last: without it nothing is trained
        say(f"{cell.name}: {figures}")
    trainer.strategy.barrier()


def load_pairs(cell: Cell) -> tuple[ClipTraining, ReportPairs]:
    """Return the trained dual encoder of a cell and its pairs; TomovoxError without its weights."""
    cli = _built(cell)
    _load(cli.model, cell.folder / WEIGHTS_FILE)
    return cli.model, cli.datamodule


def _built(cell: Cell) -> TomovoxCLI:
    """Return model, data and trainer as the config says, with the tokenizer of an earlier start."""
    change: Config = {"trainer": cell.trainer}
    if (cell.folder / TOKENIZER).is_dir():
        change |= {"data": {"init_args": {"tokenizer": str(cell.folder / TOKENIZER)}}}
    cli = instantiate(merged(cell.config, change), cell.name)
    assert isinstance(cli.model, ClipTraining) and isinstance(cli.datamodule, ReportPairs)
    return cli


def _load(model: ClipTraining, weights: Path) -> None:
    model.configure_model()
    load_weights(model.clip, str(weights))


def embed_pairs(folder: Path, name: str, model: ClipTraining, data: ReportPairs) -> None:
    """Write a prediction per test pair: the vectors of its volume and of its report, in float32."""
    data.setup("predict")
    model.float().eval()
    lines: dict[str, str] = {}
    for batch in data.predict_dataloader():
        assert isinstance(batch, PairBatch)
        moved = data.transfer_batch_to_device(batch, model.device, 0)
        with torch.no_grad(), full_float32():
            vectors = zip(*model.predict_step(moved), strict=True)
        for record, (volume, report) in zip(batch.records, vectors, strict=True):
            said = Prediction.of(record, "")
            said.volume_embedding = encode_embedding(volume.float().cpu().numpy())
            said.text_embedding = encode_embedding(report.float().cpu().numpy())
            lines[record.id] = to_line(said)
    write_atomically(folder / PREDICTIONS, "".join(f"{lines[i]}\n" for i in sorted(lines)))
    say(f"{name} predict: {len(lines)} pairs")
