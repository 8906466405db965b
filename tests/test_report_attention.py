"""Does a page show where models looked, and only in the answers that it shows?"""

from hashlib import sha256
from pathlib import Path

import pytest

from tomovox.analysis.attended import Attended
from tomovox.analysis.capture import CAPTURE, Capture, write_captures
from tomovox.analysis.localisation import localisation_rows
from tomovox.analysis.summary import attention_sheets
from tomovox.analysis.table import COLUMNS, attention_table, write_attention
from tomovox.report_attention import ATTENTION, Attention, attention_in, capture_sheet, sheets_in
from tomovox.schema import PREDICTIONS, TomovoxError

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"/>'


def captured(digest: str, model: str = "med2e3", seed: int | None = 0) -> Capture:
    return Capture(
        *(model, seed, "Med2E3", "softmax before dropout", "tgis", "tgis", 5.0, 4, 32, digest),
        *(100, 80, 40, 0, "64f57b0"),
    )


def write_looked(folder: Path, *captures: Capture) -> None:
    """Write what `tomovox attention` leaves: a table without rows, captures and a drawing."""
    write_attention(attention_table({}), folder)
    write_captures(captures, folder)
    (folder / "depth.svg").write_text(DRAWING, encoding="utf-8")


def digest_of(run: Path) -> str:
    return sha256((run / PREDICTIONS).read_bytes()).hexdigest()


def test_what_was_found_in_the_shown_predictions_is_shown(tmp_path):
    write_looked(tmp_path, captured("a" * 64), captured("b" * 64, "ms_vlm"))
    found = attention_in(tmp_path, ["a" * 64, "b" * 64, "c" * 64])
    assert [sheet.title for sheet in found.sheets] == ["Slice scores: what they are"]
    assert [figure.svg for figure in found.figures] == [DRAWING] and not found.notes


def test_what_was_found_in_other_predictions_is_left_out_and_named(tmp_path):
    write_looked(tmp_path, captured("a" * 64), captured("b" * 64, "ms_vlm"))
    found = attention_in(tmp_path, ["a" * 64])
    assert not found.sheets and not found.figures
    (note,) = found.notes
    assert "other predictions of ms_vlm (seed 0); run tomovox attention again" in note


@pytest.mark.parametrize("kept", [None, "", "[]", "[1]", "{}", '[{"model": "med2e3"}]'])
def test_what_tells_no_predictions_is_left_out_with_a_note(tmp_path, kept):
    write_looked(tmp_path, captured("a" * 64))
    (tmp_path / CAPTURE).unlink()
    if kept is not None:
        (tmp_path / CAPTURE).write_text(kept, encoding="utf-8")
    found = attention_in(tmp_path, ["a" * 64])
    assert not found.sheets and not found.figures
    assert "run tomovox attention again" in found.notes[0]


def test_a_folder_without_a_table_has_no_attention(tmp_path):
    assert attention_in(tmp_path, []) == attention_in(tmp_path / "gone", []) == Attention()


def test_the_sheet_tells_what_scores_are_and_which_predictions_have_them():
    sheet = capture_sheet([captured("ab" * 32)])
    row = dict(zip(sheet.heads, sheet.rows[0], strict=True))
    assert row["model"] == "med2e3 (seed 0)" and row["system"] == "Med2E3"
    assert (row["temperature"], row["depth bins"]) == ("5", "4")
    assert (row["predictions"], row["commit"]) == ("abababababab", "64f57b0")
    told = " ".join(sheet.told)
    assert "scores are softmax before dropout" in told and "4 distinct depth bins" in told


# ---- the table -------------------------------------------------------------------------------


def test_a_table_of_attention_is_read_as_it_was_written(tmp_path):
    looked = [
        Attended(
            *(f"vqa_open/test/{case}", str(case), f"{case}.npy", "vqa_open", "organ", "Which?"),
            *("axial", "", (0.1, 0.2, 0.3, 0.4), (2 + case % 2,), "slice"),
        )
        for case in range(12)
    ]
    frame = attention_table({("NA", None): localisation_rows(looked)})  # a name, and no seed
    write_attention(frame, tmp_path)
    assert sheets_in(tmp_path) == attention_sheets(frame)
    assert sheets_in(tmp_path)[0].rows[0][0] == "NA"


WRONG = f"{','.join(COLUMNS)}\nmed2e3,0,evidence_mass{',x' * (len(COLUMNS) - 3)}\n"
TABLES = ["", "model,seed\nmed2e3,0\n", "seed\nnone\n", WRONG]


@pytest.mark.parametrize("table", TABLES)
def test_another_table_of_attention_is_refused(tmp_path, table):
    (tmp_path / ATTENTION).write_text(table, encoding="utf-8")
    with pytest.raises(TomovoxError, match="run tomovox attention again"):
        sheets_in(tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_a_page_leaves_another_table_out_with_a_note(tmp_path, table):
    write_looked(tmp_path, captured("a" * 64))
    (tmp_path / ATTENTION).write_text(table, encoding="utf-8")
    found = attention_in(tmp_path, ["a" * 64])
    assert not found.figures and "no table of this version" in found.notes[0]
