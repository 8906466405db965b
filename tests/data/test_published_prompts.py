"""What pandas makes of a cell is what the published template asks, and nothing else changes."""

import io
from dataclasses import replace

import pandas as pd
import pytest

from tomovox.data.prompts import Template
from tomovox.data.published_prompts import MISSING, PublishedTemplate
from tomovox.data.records import choices_text
from tomovox.schema import Record, Task

OPEN = Record("vqa_open/test/000000", Task.VQA_OPEN, "test", "c", ("v",), "What is it?", "None")
CHOICES = ("liver", "NA", "None", "spleen")
CLOSED = replace(
    OPEN,
    task=Task.VQA_CLOSED,
    question="Which organ?" + choices_text(CHOICES),
    choices=CHOICES,
    reference="C. None",
)


@pytest.mark.parametrize("cell", [*sorted(MISSING), "nil", "none", "No", "na", "liver"])
def test_a_cell_is_missing_exactly_when_pandas_says_so(cell):
    table = pd.read_csv(io.StringIO(f'a,b\n"{cell}",1\n'))
    assert (cell in MISSING) == bool(table["a"].isna()[0])


def test_missing_choices_and_answers_read_nan():
    adapted = PublishedTemplate().adapt(CLOSED)
    assert adapted.question == "Which organ? Choices: A. liver B. nan C. nan D. spleen"
    assert adapted.choices == ("liver", "nan", "nan", "spleen")
    assert adapted.reference == "C. nan"


def test_a_missing_open_answer_reads_nan():
    assert PublishedTemplate().adapt(OPEN).reference == "nan"


def test_a_report_stays_as_it_is():
    report = replace(OPEN, task=Task.REPORT)
    assert PublishedTemplate().adapt(report) == report


def test_the_shared_template_keeps_the_text_of_the_file():
    assert Template().adapt(CLOSED) == CLOSED
