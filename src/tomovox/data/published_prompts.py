"""How does the released code of M3D ask? With what pandas made of the cells of its tables.

Source: M3D (Bai et al. 2024), released data set classes: tables are read by pandas.read_csv, which
takes a cell such as NA for a missing value and writes it as `nan` into prompt and answer.
"""

from dataclasses import replace

from tomovox.data.prompts import Template
from tomovox.data.records import choices_text
from tomovox.schema import Record, Task

MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""Cells that pandas reads as missing by default."""


class PublishedTemplate(Template):
    """The template of the published preset: missing cells of M3D-VQA read `nan`, as released."""

    def adapt(self, record: Record) -> Record:
        """Return a question of M3D-VQA with `nan` for each missing question, choice and answer."""
        if record.task == Task.VQA_OPEN:
            return replace(
                record, question=_cell(record.question), reference=_cell(record.reference)
            )
        if record.task != Task.VQA_CLOSED:
            return record
        stem = record.question.removesuffix(choices_text(record.choices))
        choices = tuple(_cell(choice) for choice in record.choices)
        letter, answer = record.reference[:3], record.reference[3:]
        return replace(
            record,
            question=_cell(stem) + choices_text(choices),
            choices=choices,
            reference=letter + _cell(answer),
        )


def _cell(text: str) -> str:
    return "nan" if text in MISSING else text
