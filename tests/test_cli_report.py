"""Does `tomovox report` write one page that a browser can trust, whatever models said?"""

import shutil
from pathlib import Path

import pytest
from hostile_text import HOSTILE
from test_report_attention import captured, digest_of, write_looked
from test_report_content import write_answers, write_data, write_experiment

from tomovox.cli import main
from tomovox.data.records import read_records
from tomovox.schema import Prediction, Record, Task

MODEL = "<img src=x onerror='window.hacked = 4'>"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.top.hacked = 5</script></svg>'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("phantom") / "data")


@pytest.fixture(scope="module")
def records(data) -> list[Record]:
    return read_records(data, Task.VQA_CLOSED, "test")


@pytest.fixture
def experiment(tmp_path, data, records, monkeypatch) -> Path:
    """An experiment of two models, a control and a drawing."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one"
    _, run = write_experiment(folder, data, records)
    write_looked(folder / "attention", captured(digest_of(run)))
    (folder / "attention" / "depth.svg").write_text(DRAWING, encoding="utf-8")
    return folder


def test_the_page_lies_with_its_experiment_and_its_size_is_told(experiment, capsys):
    assert main(["report", "runs/one"]) == 0
    size = (experiment / "report.html").stat().st_size
    assert capsys.readouterr().out == f"runs/one/report.html: {size / 1e6:.1f} MB\n"


def test_the_drawings_of_the_experiment_are_in_the_page(experiment):
    main(["report", "runs/one"])
    assert "data:image/svg+xml" in (experiment / "report.html").read_text("utf-8")


def test_another_folder_of_drawings_takes_their_place(experiment, tmp_path):
    (tmp_path / "none").mkdir()
    assert main(["report", "runs/one", "--attention", "none"]) == 0
    assert "data:image/svg+xml" not in (experiment / "report.html").read_text("utf-8")


def test_drawings_of_other_predictions_are_left_out_with_a_note(experiment):
    write_looked(experiment / "attention", captured("0" * 64))
    main(["report", "runs/one"])
    page = (experiment / "report.html").read_text("utf-8")
    assert "data:image/svg+xml" not in page
    assert "it is of other predictions of med2e3 (seed 0)" in page


def test_a_page_of_two_experiments_shows_attention_only_where_it_is_asked_for(experiment, tmp_path):
    shutil.copytree(experiment, tmp_path / "runs" / "two")
    asked = ["report", "runs/one", "runs/two", "--output", "page.html"]
    for more, shown in (([], False), (["--attention", "runs/one/attention"], True)):
        assert main([*asked, *more]) == 0
        assert ("data:image/svg+xml" in (tmp_path / "page.html").read_text("utf-8")) == shown


def test_the_same_runs_give_the_same_bytes(experiment, tmp_path):
    for name in ("a.html", "b.html"):
        assert main(["report", "runs/one", "--output", name]) == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_without_slices_is_smaller(experiment, tmp_path):
    for count in ("0", "1"):
        main(["report", "runs/one", "--volumes", count, "--output", f"{count}.html"])
    assert 'id="mosaic-0-0"' in (tmp_path / "1.html").read_text("utf-8")
    assert 'id="mosaic-0-0"' not in (tmp_path / "0.html").read_text("utf-8")


def test_without_the_data_there_is_a_page_and_a_line_that_says_so(tmp_path, records, capsys):
    write_experiment(tmp_path / "one", tmp_path / "gone", records)
    assert main(["report", str(tmp_path / "one")]) == 0
    error = capsys.readouterr().err
    assert error == f"tomovox: {tmp_path / 'gone'}: no such data root; the page has no slices\n"
    assert (tmp_path / "one" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs/one/blind-s0", "other/blind-s0"], "say with --output FILE where to write"),
        (["runs/one", "--output", "runs"], "runs: is a folder; give --output the name of a file"),
        (["runs/one", "--attention", "gone"], "gone: no such folder; make it with tomovox attent"),
        (["runs/one", "--volumes", "-1"], "'-1' is not a number from 0"),
        (["runs"], "runs: no predictions.jsonl"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(experiment, capsys, arguments, said):
    write_answers(Path("other/blind-s0"), [])
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.needs_chromium
def test_hostile_texts_are_shown_and_nothing_of_them_runs(experiment):
    from playwright.sync_api import sync_playwright

    answer = Prediction(
        *(f"vqa_closed/test/{HOSTILE}", Task.VQA_CLOSED, HOSTILE),
        *(HOSTILE, f"A. {HOSTILE}", HOSTILE),
        question_type=HOSTILE,
        choices=(HOSTILE,) * 4,
        slice_scores=(0.5, 0.5),
    )
    write_answers(experiment / f"{MODEL}-s0", [answer])
    (experiment / "notes.txt").write_text(HOSTILE, encoding="utf-8")
    (experiment / "attention" / f"case-{MODEL}.svg").write_text(DRAWING, encoding="utf-8")
    assert main(["report", "runs/one"]) == 0
    address, said = (experiment / "report.html").as_uri(), []
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        # A container that runs tests as root has no sandbox to offer.
        page = driver.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: said.append(request.url))
        page.goto(address)
        page.get_by_role("search").get_by_label("Question type").select_option(HOSTILE)
        page.get_by_role("list", name="Samples").get_by_role("link").click()
        shown = page.get_by_role("region", name=f"Answer of {MODEL}").locator(".text")
        assert shown.text_content() == HOSTILE
        assert page.evaluate("window.hacked") is None
    assert [line for line in said if not line.startswith("data:image/")] == [address]
