"""What does a trained model say about one volume of mine, and where did it look?"""

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape

from tomovox.answering import in_float32
from tomovox.cell import load_run
from tomovox.data.dataset import StudyItem, collate_studies
from tomovox.data.images import read_image
from tomovox.schema import Record, Task, TomovoxError

BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Answer:
    """What the model said, and the weight of each slice when it scores slices."""

    text: str
    slice_scores: list[float]


def ask(
    volume: Path, question: str, run: Path, window: tuple[float, float] | None = None
) -> Answer:
    """Answer a question about a NIfTI, NRRD, .npy or DICOM volume with the model of a RUN.

    The volume is resized to what the model reads; `window` (centre, width) is for HU.
    Raises TomovoxError when the volume or the run cannot be read.
    """
    if not question.strip():
        raise TomovoxError("the question is empty; ask something")
    model, data = load_run(run)
    in_float32(model)
    data.vocabulary()
    voxels = torch.from_numpy(read_image(volume, window, model.volume_shape))
    record = Record("ask", Task.VQA_OPEN, "ask", "ask", (volume.name,), question, "")
    batch = collate_studies([StudyItem([voxels], [record])], data.template, train=False)
    said = model.predict_step(batch)
    scores = [] if said.slice_scores is None else said.slice_scores[0].tolist()
    return Answer(data.template.decode(said.ids[0].tolist()), scores)


def print_answer(answer: Answer) -> None:
    """Print the answer and, of a model that scores slices, a bar and the three highest."""
    console = Console(soft_wrap=True)
    console.print(escape(answer.text) or "[dim](no answer)[/dim]", highlight=False)
    if answer.slice_scores:
        console.print(f"slices  {bar(answer.slice_scores)}", highlight=False)
        top = sorted(enumerate(answer.slice_scores), key=lambda pair: -pair[1])[:3]
        console.print(
            "highest " + ", ".join(f"{index} ({score:.1%})" for index, score in top)
            + f"; uniform is {1 / len(answer.slice_scores):.1%}",
            highlight=False,
        )  # fmt: skip


def bar(scores: list[float]) -> str:
    """Return one block per slice, its height the score between the lowest and the highest."""
    low, high = min(scores), max(scores)
    if high <= low:
        return BARS[0] * len(scores)
    return "".join(BARS[round((s - low) / (high - low) * (len(BARS) - 1))] for s in scores)
