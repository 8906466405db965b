"""Do figures of papers stand beside the same numbers of ours, and change nothing there?"""

import io
from dataclasses import replace

import pandas as pd
import pytest
from made_comparison import compared_table
from made_rows import cell, rows
from rich.console import Console

from tomovox.judge.cells import OF_PAPERS, REPORTED, UNVERIFIED, runs_of
from tomovox.judge.compare import COMPARED, TESTED
from tomovox.judge.html import html_of
from tomovox.judge.latex import latex_of
from tomovox.judge.ledger import ledger
from tomovox.judge.markdown import markdown_of
from tomovox.judge.published import UNKNOWN, read_published
from tomovox.judge.reported import BESIDE, reported_notes, with_reported
from tomovox.judge.tables import build_table, print_table, write_tables
from tomovox.judge.verdicts import verdict_of
from tomovox.metrics.catalogue import METRICS
from tomovox.schema import TomovoxError

FIGURES = read_published()
RUNS = {
    "m3d_lamed-s0": rows(0.5),
    "m3d_lamed-s1": rows(0.4),
    ("m3d_lamed", 0, "no_image"): rows(0.2),
    "blind-s0": rows(0.25),
}
OURS = compared_table(RUNS)
METEOR = cell("report", "meteor", "m3d", 0.1, n=7)
PAPER = next(f for f in FIGURES if (f.system, f.task, f.metric) == ("radfm", "report", "meteor"))
STATISTICS = [name for name in (*COMPARED, *TESTED) if name != "best"]


def reported(frame=OURS, figures=FIGURES, **options):
    both = with_reported(frame, figures, **options)
    return both[both["control"].isin(OF_PAPERS)]


def found(run_rows, name="m3d_lamed-s0", **options):
    return reported(build_table({name: run_rows}), **options)


def test_the_rows_of_ours_and_their_statistics_stay_as_they_are():
    both = with_reported(OURS, FIGURES)
    ours = both[~both["control"].isin(OF_PAPERS)].reset_index(drop=True)
    assert len(both) > len(ours)
    pd.testing.assert_frame_equal(ours.astype(OURS.dtypes), OURS)


def test_a_reported_row_has_no_statistics():
    mine = reported()
    assert len(mine) and mine[STATISTICS].isna().all(axis=None)
    assert not mine["best"].any() and not mine["seed"].notna().any()


def test_a_row_tells_source_check_and_remark():
    (row,) = found([METEOR]).to_dict("records")
    assert (row["model"], row["value"], row["note"]) == ("m3d_lamed", 0.1438, "")
    assert row["signature"] == (
        "reported: arXiv 2503.20047 (abstract), of arXiv 2404.00578; verified; the abstract quotes "
        "METEOR 14.38 of reports; the tables of the paper itself were not read"
    )


def test_a_figure_that_nobody_verified_says_so_in_its_line():
    lines = reported().groupby("control")["signature"].apply(list)
    assert all("; verified; " in line for line in lines[REPORTED])
    assert all("; not verified; " in line for line in lines[UNVERIFIED])


def test_what_the_paper_does_not_count_is_missing_and_not_zero():
    assert found([METEOR])["n"].isna().all()


@pytest.mark.parametrize(
    "row",
    [
        METEOR | {"protocol": "standard"},
        METEOR | {"question_type": "macro"},
        METEOR | {"task": "reg"},
        cell("report", "bleu4", "standard", 0.2),
        cell("report", "bertscore_f1", "m3d", 0.8),
    ],
)
def test_another_protocol_type_task_metric_or_encoder_has_none(row):
    assert found([row]).empty


def test_figures_of_unknown_protocol_never_join():
    everywhere = [
        cell(task, metric.name, protocol, 0.2, kind)
        for metric in METRICS.values()
        for task in metric.tasks
        for protocol in {metric.protocol, UNKNOWN}
        for kind in ("all", "macro")
    ]
    assert found(everywhere, "ms_vlm-s0").empty
    assert set(found(everywhere, "radfm-s0")["protocol"]) == {"m3d"}


def test_a_table_without_a_figure_is_the_same_table():
    frame = compared_table({"ms_vlm-s0": rows(0.5), "blind-s0": rows(0.25)})
    assert with_reported(frame, FIGURES) is frame
    assert reported_notes(frame) == []


def test_a_control_alone_has_no_figure():
    assert reported(build_table({("m3d_lamed", 0, "no_image"): [METEOR]})).empty


def test_what_a_model_lacks_is_not_reported_of_it():
    frame = build_table({"m3d_lamed-s0": [METEOR], "blind-s0": rows(0.25)})
    assert list(reported(frame)["metric"]) == ["meteor"]


@pytest.mark.parametrize(("n", "values"), [(2000, [0.191]), (100, [0.64]), (50, [])])
def test_a_recall_meets_the_figure_of_as_many_records_only(n, values):
    mine = found([cell("retrieval", "i2t_r1", "m3d", 0.3, n=n)], "m3d_clip-s0")
    assert (list(mine["value"]), list(mine["n"])) == (values, [n] * len(values))


@pytest.mark.parametrize(
    ("splits", "chosen"), [((None, 7, 900), 7), ((None, 3, 900), 900), ((None,), None)]
)
def test_of_several_splits_that_of_our_size_stands_there_else_the_largest(splits, chosen):
    figures = [replace(PAPER, n=n, split=str(n), value=(n or 1) / 1000) for n in splits]
    (row,) = found([METEOR], "radfm-s0", figures=figures).to_dict("records")
    assert row["value"] == (chosen or 1) / 1000


def test_two_seeds_of_a_model_have_one_line_below_both():
    runs = runs_of(with_reported(OURS, FIGURES))
    assert [label for run, label in runs.items() if run[0] == "m3d_lamed"] == [
        "m3d_lamed (seed 0)",
        "m3d_lamed (seed 0), no_image",
        "m3d_lamed (seed 1)",
        "m3d_lamed, reported",
        "m3d_lamed, reported, not verified",
    ]


def test_the_experiment_before_a_name_does_not_hide_its_system():
    assert list(found([METEOR], "a/m3d_lamed-s0")["model"]) == ["a/m3d_lamed"]


def test_a_row_of_a_free_name_has_the_figures_of_the_system_it_is_given():
    assert found([METEOR], "phi3").empty
    (row,) = found([METEOR], "phi3", systems={"phi3": "m3d_lamed"}).to_dict("records")
    assert (row["model"], row["value"]) == ("phi3", 0.1438)


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ({"phi3": "m3d"}, "row phi3: system 'm3d' is not known; known: .*m3d_clip, m3d_lamed"),
        ({"phi4": "m3d_lamed"}, "no row 'phi4' in this table; it has phi3"),
    ],
)
def test_a_row_or_system_that_is_not_there_is_refused(systems, message):
    with pytest.raises(TomovoxError, match=message):
        found([METEOR], "phi3", systems=systems)


def test_the_ledger_is_the_same_beside_reported_rows():
    assert ledger(with_reported(OURS, FIGURES), FIGURES) == ledger(OURS, FIGURES)


def test_the_file_tells_every_figure_and_every_other_line_as_before(tmp_path):
    write_tables(with_reported(OURS, FIGURES), tmp_path)
    lines = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    ours = OURS.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    assert (
        "".join(line for line in lines if ",,reported," not in line and ',,"reported, ' not in line)
        == ours
    )
    again = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    again = again[again["control"].isin(OF_PAPERS)]
    kept = ["task", "question_type", "metric", "protocol", "model", "signature", "n"]
    mine = reported().astype({"n": "string"}).fillna({"n": ""})
    assert again[kept].values.tolist() == mine[kept].values.tolist()
    assert list(again["value"].astype(float)) == list(mine["value"])


@pytest.mark.parametrize("text_of", [markdown_of, html_of, latex_of])
def test_every_page_shows_the_figures_and_the_number_of_our_records(text_of):
    frame = with_reported(OURS, FIGURES)
    text = text_of(frame, reported_notes(frame))
    assert "reported" in text and "n=10" in text and "NA" not in text.replace("NAME", "")


def test_a_terminal_shows_the_figures_and_the_number_of_our_records():
    console = Console(width=110, file=io.StringIO())
    print_table(with_reported(OURS, FIGURES), console, [BESIDE])
    text = console.file.getvalue()
    assert "m3d_lamed, reported" in text and "report (n=10)" in text


def test_a_reported_figure_has_no_verdict():
    verdicts = [verdict_of(row) for row in reported().to_dict("records")]
    assert set(verdicts) == {""}
