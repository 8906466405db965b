"""Does the ledger compare like with like, and say what differs?"""

import csv
import io
from pathlib import Path

import pytest
from made_comparison import compared_table
from made_rows import cell

from tomovox.judge.ledger import DEVIATIONS, ledger, ledger_markdown, ledger_tsv
from tomovox.judge.published import read_published
from tomovox.judge.tables import build_table
from tomovox.schema import TomovoxError

FIGURES = read_published()
METEOR = cell("report", "meteor", "m3d", 0.1, n=7)
CLOSED = cell("vqa_closed", "accuracy", "m3d", 0.8, "macro")


def found(rows, model="m3d_lamed-s0", **options):
    return ledger(build_table({model: rows}), FIGURES, **options)


def test_a_row_stands_beside_the_figure_of_its_system():
    (entry,) = found([METEOR]).entries
    assert (entry.model, entry.seed, entry.system) == ("m3d_lamed", 0, "m3d_lamed")
    assert (entry.reported, entry.ours, entry.verified) == (0.1438, 0.1, True)
    assert entry.difference == pytest.approx(-0.0438)
    assert (entry.n_reported, entry.n_ours) == (None, 7)


@pytest.mark.parametrize(
    "row",
    [
        METEOR | {"protocol": "standard"},
        METEOR | {"question_type": "macro"},
        METEOR | {"task": "reg"},
        CLOSED | {"question_type": "all"},
        cell("report", "bleu4", "standard", 0.2),
    ],
)
def test_another_protocol_type_task_or_metric_has_no_entry(row):
    assert found([row]).entries == []


def test_a_figure_of_unknown_protocol_has_no_entry():
    rows = [cell("report", name, "standard", 0.2) for name in ("bleu4", "rougeL", "meteor")]
    assert found(rows, "ms_vlm-s0").entries == []


@pytest.mark.parametrize(("n", "reported"), [(2000, [0.191]), (100, [0.64]), (50, [])])
def test_a_recall_meets_the_figure_of_as_many_records_only(n, reported):
    rows = [cell("retrieval", "i2t_r1", "m3d", 0.3, n=n)]
    assert [entry.reported for entry in found(rows, "m3d_clip-s0").entries] == reported


def test_a_metric_that_could_not_run_has_no_difference():
    missing = cell("report", "meteor", "m3d", None, note="unavailable: no WordNet")
    (entry,) = found([missing]).entries
    assert entry.ours is None and entry.difference is None
    assert "| 0.1438 | n/a | n/a |" in ledger_markdown(found([missing]))


@pytest.mark.parametrize(
    ("encoder", "reported"),
    [("roberta-large|layer:17", [0.8846]), ("all-minilm-l6-v2|layer:5", [])],
)
def test_a_bertscore_meets_one_of_its_encoder_only(encoder, reported):
    row = cell("report", "bertscore_f1", "m3d", 0.8) | {"signature": f"b|encoder:{encoder}|idf:no"}
    assert [entry.reported for entry in found([row]).entries] == reported


def test_a_control_of_a_model_has_no_entry():
    frame = build_table({("m3d_lamed", 0, "no_image"): [METEOR]})
    assert ledger(frame, FIGURES).entries == []


def test_a_row_of_a_free_name_needs_its_system():
    assert found([METEOR], "phi3").entries == []
    (entry,) = found([METEOR], "phi3", systems={"phi3": "m3d_lamed"}).entries
    assert (entry.model, entry.seed, entry.system) == ("phi3", None, "m3d_lamed")


def test_a_system_that_is_not_known_is_refused():
    with pytest.raises(TomovoxError, match="row phi3: system 'm3d' is not known; known: btb3d"):
        found([METEOR], "phi3", systems={"phi3": "m3d"})


def test_a_row_that_is_not_there_is_refused():
    with pytest.raises(TomovoxError, match="system m3d_lamed: no row 'phi' in this table"):
        found([METEOR], "phi3", systems={"phi": "m3d_lamed"})


def test_the_experiment_before_a_name_does_not_hide_its_system():
    (entry,) = found([METEOR], "b/m3d_lamed-s0").entries
    assert (entry.model, entry.system) == ("b/m3d_lamed", "m3d_lamed")


def test_a_system_without_comparable_figure_is_named_with_its_mark():
    text = ledger_markdown(found([METEOR], "ms_vlm-s0"))
    assert "- ms\\_vlm (no comparable figure): re-implementation" in text


def test_every_system_with_deviations_is_a_baseline():
    folders = {p.name for p in (Path(__file__).parents[2] / "baselines").iterdir() if p.is_dir()}
    assert folders >= DEVIATIONS.keys()


def test_the_page_shows_both_numbers_with_the_digits_of_papers():
    text = ledger_markdown(found([METEOR, CLOSED]))
    assert "| 0.1438 | 0.1000 | -0.0438 | not stated | 7 | n/a | yes |" in text
    assert "| 75.78% | 80.00% | +4.22 points | not stated | 10 | n/a | yes |" in text


def test_ours_has_its_interval_and_cases_where_the_table_has_them():
    given = ledger(compared_table({"m3d_lamed-s0": [METEOR]}), FIGURES)
    assert (given.entries[0].ours_lo, given.entries[0].ours_hi) == pytest.approx((0.05, 0.15))
    text = ledger_markdown(given, {"printed by": "tomovox 1"})
    assert r"| 0.1000 \[0.0500, 0.1500\] | -0.0438 | not stated | 7 | 4 | yes |" in text
    assert "- printed by: tomovox 1" in text


def test_a_name_cannot_break_the_page():
    text = ledger_markdown(found([METEOR], "a|b\n<b>", systems={"a|b\n<b>": "m3d_lamed"}))
    assert r"| a\|b \<b\> |" in text


def test_the_file_has_a_line_per_entry():
    ours = found([METEOR, CLOSED])
    rows = list(csv.DictReader(io.StringIO(ledger_tsv(ours)), delimiter="\t"))
    assert len(rows) == len(ours.entries) == 2
    assert (rows[0]["reported"], rows[0]["n_reported"], rows[0]["verified"]) == (
        "0.143800",
        "",
        "yes",
    )


def test_the_order_of_runs_does_not_change_a_byte():
    runs = {"m3d_lamed-s0": [METEOR], "m3d_lamed-s1": [METEOR, CLOSED]}
    texts = [
        ledger_tsv(ledger(build_table(r), FIGURES)) for r in (runs, dict(reversed(runs.items())))
    ]
    assert texts[0] == texts[1]
