"""The folder of an experiment that ran: two models, a floor and a control, without any training."""

from pathlib import Path

from tomovox.cli import main
from tomovox.judge.runs import CONFIG
from tomovox.schema import CONTROLS_FOLDER, PREDICTIONS, Prediction, Task, to_line
from tomovox.tracked import keep_source

ANSWERS = {
    "med2e3-s0": ("A. axial", "B. coronal"),
    "blind-s0": ("B. coronal", "B. coronal"),
    "majority-s0": ("A. axial", "A. axial"),
    f"med2e3-s0/{CONTROLS_FOLDER}/no_image": ("C. sagittal", "B. coronal"),
}
REFERENCES = ("A. axial", "B. coronal")
LOOKED = (
    "model,seed,statistic,task,question_type,plane,phase,hidden,value\n"
    "med2e3,0,evidence_mass,vqa_closed,all,,,,0.500000\n"
    "med2e3,0,evidence_mass,vqa_closed,all,axial,,,0.250000\n"
)
"""What `tomovox attention` found, in the columns that are read here."""


def write_folder(folder: Path, uri: str | None = None, source: Path | None = None) -> Path:
    """Write an experiment's folder as it is before anything is logged; return it.

    `source` is where its experiment file lies, by default beside the folder.
    """
    for run, answers in ANSWERS.items():
        (folder / run).mkdir(parents=True, exist_ok=True)
        (folder / run / CONFIG).write_text("seed_everything: 0\n", encoding="utf-8")
        lines = [to_line(_prediction(i, text)) for i, text in enumerate(answers)]
        (folder / run / PREDICTIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["score", str(folder)]) == 0
    (folder / "attention").mkdir()
    (folder / "attention" / "attention.csv").write_text(LOOKED, encoding="utf-8")
    source = source or folder.with_suffix(".yaml")
    line = "" if uri is None else f"tracking_uri: '{uri}'\n"
    source.write_text(f"# A question?\n{line}models: {{blind: blind.yaml}}\n", encoding="utf-8")
    keep_source(folder, source, uri)
    return folder


def _prediction(number: int, text: str) -> Prediction:
    return Prediction(
        id=f"vqa_closed/test/{number:06d}",
        task=Task.VQA_CLOSED,
        case=str(number),
        question="Which plane?",
        reference=REFERENCES[number],
        text=text,
        question_type="plane",
        choices=("axial", "coronal", "sagittal", "oblique"),
    )
