"""Is every figure of published.csv one that a table may hold, and is a bad line refused?"""

import shutil
from pathlib import Path

import pytest

from tomovox.judge import published
from tomovox.judge.published import (
    COLUMNS,
    UNKNOWN,
    published_file,
    read_published,
    reported_rows,
)
from tomovox.metrics.metric import PROTOCOLS
from tomovox.schema import Task, TomovoxError

BASELINES = Path(__file__).resolve().parents[2] / "baselines"
LINE = {
    "system": "m3d_lamed",
    "task": "vqa_closed",
    "question_type": "macro",
    "metric": "accuracy",
    "protocol": "m3d",
    "value": "0.7578",
    "unit": "percent",
    "n": "",
    "split": "test",
    "source": "arXiv 0000.00000",
    "verified": "yes",
    "note": "read, there",
}


def written(folder, *changes, header=COLUMNS):
    path = folder / "figures.csv"
    lines = [",".join(f'"{cell}"' for cell in (LINE | change).values()) for change in changes]
    path.write_text("\n".join([",".join(header), *lines]) + "\n", encoding="utf-8")
    return path


def test_the_figures_of_the_baselines_are_read():
    assert published_file() == BASELINES / "published.csv"
    assert len(read_published()) == len((BASELINES / "published.csv").read_text().splitlines()) - 1


def test_verified_figures_are_those_that_an_abstract_quotes():
    """The abstract of arXiv 2503.20047 is all that was read."""
    verified = [f for f in read_published() if f.verified]
    assert all("arXiv 2503.20047 (abstract)" in figure.source for figure in verified)
    assert {(f.system, f.task, f.metric, f.protocol, f.value) for f in verified} == {
        ("m3d_clip", Task.RETRIEVAL, "i2t_r1", "m3d", 0.191),
        ("m3d_lamed", Task.REPORT, "meteor", "m3d", 0.1438),
        ("m3d_lamed", Task.VQA_OPEN, "meteor", "m3d", 0.3358),
        ("m3d_lamed", Task.VQA_CLOSED, "accuracy", "m3d", 0.7578),
        ("med3dvlm", Task.RETRIEVAL, "i2t_r1", UNKNOWN, 0.61),
        ("med3dvlm", Task.REPORT, "meteor", UNKNOWN, 0.3642),
        ("med3dvlm", Task.VQA_OPEN, "meteor", UNKNOWN, 0.3676),
    }


def test_what_is_from_memory_alone_is_not_verified():
    recalled = [f for f in read_published() if f.note.startswith("from memory")]
    assert recalled and not any(figure.verified for figure in recalled)


def test_nothing_of_the_paper_without_code_stands_beside_ours():
    assert {f.protocol for f in read_published() if f.system == "ms_vlm"} == {UNKNOWN}


def test_a_line_is_read_as_it_stands(tmp_path):
    (figure,) = read_published(written(tmp_path, {"n": "12"}))
    assert (figure.task, figure.value, figure.n, figure.verified) == (
        "vqa_closed",
        0.7578,
        12,
        True,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "captions"}, "task 'captions' is not known"),
        ({"metric": "bleu1"}, "metric 'bleu1' is not known for vqa_closed; known: accuracy"),
        ({"protocol": "paper"}, "protocol 'paper' is not known for accuracy; known: m3d, standard"),
        ({"metric": "parsed_rate"}, "protocol 'm3d' is not known for parsed_rate"),
        ({"value": "75,78"}, "value '75,78' is no number"),
        ({"value": "nan"}, "value 'nan' is no number"),
        ({"value": "75.78"}, "value 75.78 is above 1; write percent as a fraction"),
        ({"unit": "fraction"}, "unit 'fraction' of accuracy; write percent"),
        ({"n": "2k"}, "n '2k' is no number of records"),
        ({"verified": "true"}, "verified 'true'; write yes or no"),
        ({"note": ""}, "note '' is empty"),
        ({"system": " m3d"}, "system ' m3d' is empty or has space around it"),
    ],
)
def test_a_bad_cell_is_refused_with_its_line(tmp_path, change, message):
    with pytest.raises(TomovoxError) as caught:
        read_published(written(tmp_path, {}, {"system": "other"} | change))
    assert f"figures.csv:3: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_figure_that_stands_there_twice_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match=r"csv:3: m3d_lamed .* stands in line 2 too; keep one"):
        read_published(written(tmp_path, {}, {"value": "0.5"}))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ((*COLUMNS, "page"), ":1: column 'page' is not known; write system,task"),
        (COLUMNS[:-1], ":1: columns are missing or moved; write system,task"),
        (("task", "system", *COLUMNS[2:]), ":1: columns are missing or moved"),
    ],
)
def test_other_columns_are_refused(tmp_path, header, message):
    with pytest.raises(TomovoxError, match=message):
        read_published(written(tmp_path, {}, header=header))


def test_a_line_with_a_cell_too_many_is_refused(tmp_path):
    path = written(tmp_path, {})
    path.write_text(path.read_text() + "," * len(COLUMNS) + "\n", encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"csv:3: 13 cells instead of 12"):
        read_published(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match=r"none\.csv: cannot be read"):
        read_published(tmp_path / "none.csv")


def test_every_figure_of_a_known_protocol_stands_beside_ours_once():
    figures = read_published()
    beside = [f for t in Task for p in PROTOCOLS for f in reported_rows(t, p, figures)]
    assert {f.key for f in beside} == {f.key for f in figures if f.protocol != UNKNOWN}
    assert len(beside) == len({f.key for f in beside})


def test_a_figure_of_unknown_protocol_stands_beside_nothing():
    figures = read_published()
    assert UNKNOWN in {figure.protocol for figure in figures}
    assert not [f for task in Task for f in reported_rows(task, UNKNOWN, figures)]


class Installed:
    """A file of an installed distribution."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.name, path

    def locate(self) -> Path:
        return self.path


def test_an_installed_copy_is_found_outside_of_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "__file__", str(tmp_path / "a" / "b" / "c" / "published.py"))
    copy = Path(shutil.copy(BASELINES / "published.csv", tmp_path / "published.csv"))
    monkeypatch.setattr(published, "files", lambda name: [Installed(copy)])
    assert published_file() == copy


def test_an_installation_without_figures_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "__file__", str(tmp_path / "a" / "b" / "c" / "published.py"))
    monkeypatch.setattr(published, "files", lambda name: None)
    with pytest.raises(TomovoxError, match="not part of this installation"):
        published_file()
