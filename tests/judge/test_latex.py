"""Does LaTeX take the tables as they are, for any name, and print in bold what is best alone?"""

import re
import subprocess

import pytest
from made_comparison import CONTROLLED, HOSTILE, compared_table, differs, known
from made_rows import cell, rows

from tomovox.judge.latex import document_of, escaped, latex_of
from tomovox.judge.verdicts import Asked, verdict_sheets
from tomovox.metrics.catalogue import metrics_of
from tomovox.schema import Task
from tomovox.sheets import Sheet

FACTS = {"commit": "64f57b0", "data": "a_b 100%", "reference": "blind"}
EVERYTHING = {
    HOSTILE: [
        cell(task, metric.name, metric.protocol, 0.5, kind)
        for task in Task
        for metric in metrics_of(task).values()
        for kind in ("all", "macro", HOSTILE, "one", "two", "three")
    ],
    **CONTROLLED,
}
"""Every task and metric, and names that mean something else in LaTeX."""


@pytest.fixture(scope="module")
def everything():
    sheet = Sheet(
        HOSTILE, ("model", HOSTILE), ((HOSTILE, HOSTILE), ("  below", "1")), told=(HOSTILE,)
    )
    return latex_of(compared_table(EVERYTHING), [HOSTILE], {HOSTILE: HOSTILE}, [sheet])


def tables(text):
    """The specification and the rows of each table."""
    for spec, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.S):
        yield spec, [line for line in body.strip().splitlines() if line.endswith(r"\\")]


def test_every_row_has_the_columns_of_its_table(everything):
    for spec, lines in tables(everything):
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(spec)}


def test_environments_close_in_their_order(everything):
    opened = []
    for verb, name in re.findall(r"\\(begin|end)\{(\w+)\}", document_of(everything)):
        if verb == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened


def test_braces_close(everything):
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", everything):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


def test_a_page_needs_booktabs_alone(everything):
    assert re.findall(r"\\usepackage\{(\w+)\}", document_of("")) == ["booktabs"]
    assert everything.count(r"\toprule") == everything.count(r"\bottomrule")


def test_labels_are_unique(everything):
    labels = re.findall(r"\\label\{([^}]+)\}", everything)
    assert labels and len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *[("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#"), ("$", r"\$")],
        *[("{", r"\{"), ("}", r"\}"), ("\\", r"\textbackslash{}")],
        *[("~", r"\textasciitilde{}"), ("^", r"\textasciicircum{}")],
        *[("<", r"\textless{}"), ("|", r"\textbar\allowbreak{}")],
        *[("[bold]", "{[}bold{]}"), ("*", "{*}")],
        *[("a--b", "a-{}-b"), ("a-b", "a-b"), ("---", "-{}-{}-")],
        *[
            ("é", "é"),
            ("中", "U+4E2D"),
            ("a\nb", "a b"),
            (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ],
    ],
)
def test_text_stays_text(text, wanted):
    assert escaped(text) == wanted


def test_nothing_of_a_hostile_name_is_left(everything):
    assert not re.search(r"(?<!\\)[%#~]", everything.replace("% needs", ""))
    assert "_" not in everything.replace(r"\_", "") and "中" not in everything


def test_what_is_best_alone_is_bold():
    text = latex_of(known(compared_table(), "accuracy", best=True), ["a note"], FACTS)
    # Once among the headlines, once among the question types.
    assert re.findall(r"\\textbf\{([^}]*)\}", text) == ["50.0", "50.0"]


def test_nothing_is_bold_where_nothing_is_best():
    assert r"\textbf" not in latex_of(compared_table(), ["a note"], FACTS)


@pytest.mark.parametrize(("by", "mark"), [(0.1, "$^{*}$"), (-0.1, r"$^{\dagger}$")])
def test_a_difference_has_its_mark_before_the_interval(by, mark):
    text = latex_of(differs(compared_table(), "accuracy", by))
    assert rf"50.0{mark} {{\scriptsize [45.0, 55.0]}}" in text


def test_a_tie_has_no_mark():
    text = latex_of(differs(compared_table(), "accuracy", 0.1, p=0.5))
    assert "$^{*}$" not in text and r"$^{\dagger}$" not in text


def test_a_control_is_indented_below_its_model():
    _, lines = next(tables(latex_of(compared_table())))
    assert [line.split(" & ")[0] for line in lines[2:]] == [
        *["blind", "med2e3"],
        r"\quad other\_patient",
    ]


def test_every_table_tells_the_facts_in_their_order_and_what_it_counts():
    text = latex_of(compared_table(), facts=FACTS)
    for table in text.split(r"\begin{table}")[1:]:
        told = re.findall(r"\\noindent (.*?)(?: records.*|: .*)\\par", table)
        assert [each for each in told if each in FACTS] == list(FACTS)
        assert re.search(r"n=[\d-]+ records of 4 cases", table) and "Signatures: " in table


def test_the_order_of_runs_does_not_change_a_byte():
    turned = dict(reversed(CONTROLLED.items()))
    assert latex_of(compared_table()) == latex_of(compared_table(turned))


def test_an_empty_comparison_is_an_empty_fragment():
    assert r"\begin{table}" not in latex_of(compared_table({}))


@pytest.mark.needs_latex
def test_latex_compiles_every_table(everything, tmp_path):
    file = tmp_path / "tables.tex"
    file.write_text(document_of(everything), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file.name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 0


@pytest.mark.needs_latex
def test_tables_are_not_wider_than_their_page(tmp_path):
    file = tmp_path / "tables.tex"
    runs = {"a-model-of-some-length-s0": rows(0.123), **CONTROLLED}
    frame = differs(compared_table(runs), "accuracy", 0.1)
    sheets = verdict_sheets(frame, "blind", Asked(by_type=True))
    file.write_text(document_of(latex_of(frame, sheets=sheets)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file.name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Overfull" not in run.stdout
