"""Are the right figures made, written as vectors with their text, and the same bytes again?"""

import re
import warnings

import pytest
from made_attended import noisy_run, oracle_run
from made_trials import trials_of
from matplotlib import rcParams

from tomovox.analysis.figure_depth import depth_figure
from tomovox.analysis.figures import attention_figures, write_figures
from tomovox.analysis.localisation import localisation_rows
from tomovox.analysis.table import attention_table
from tomovox.analysis.type_shift import type_rows

NAMES = ("depth", "localisation", "type_shift", "curves")


def findings():
    """Return what two records of each of three cases give: few panels, which are drawn fast."""
    run = noisy_run(cases=3, kinds=("organ", "phase"))
    frame = attention_table({("a", 0): [*localisation_rows(run), *type_rows(run)]})
    return frame, {"a": run}, {"a": {"percept": trials_of(run)}}


@pytest.fixture(scope="module")
def made():
    return findings()


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    return write_figures(tmp_path_factory.mktemp("a") / "new", attention_figures(*made))


def test_every_finding_has_its_figure(made):
    assert tuple(attention_figures(*made)) == NAMES


def test_what_was_not_found_has_no_figure(made):
    frame, records, _ = made
    assert tuple(attention_figures(frame[:0], records, {})) == ("depth",)


def test_each_figure_is_written_as_svg_and_pdf(written):
    names = [f"new/{name}.{form}" for name in NAMES for form in ("svg", "pdf")]
    assert [f"{path.parent.name}/{path.name}" for path in written] == names
    assert all(path.stat().st_size for path in written)


def test_equal_findings_are_equal_bytes(written, tmp_path):
    again = write_figures(tmp_path, attention_figures(*findings()))
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]


def test_text_of_an_svg_is_text_without_a_date(written):
    drawn = written[0].read_text("utf-8")
    assert re.search(r"<text[^>]*>uniform</text>", drawn)
    assert "<dc:date>" not in drawn


def test_settings_of_the_caller_stay_and_change_nothing(made, written, tmp_path):
    before = dict(rcParams)
    try:
        rcParams.update({"font.size": 30.0, "svg.fonttype": "path", "axes.facecolor": "red"})
        strange = dict(rcParams)
        own = write_figures(tmp_path, {"depth": depth_figure(made[1])})
        assert dict(rcParams) == strange
    finally:
        rcParams.update(before)
    assert own[0].read_bytes() == written[0].read_bytes()


def test_a_letter_that_the_font_lacks_stays_in_the_svg_and_warns_nobody(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = write_figures(tmp_path, {"depth": depth_figure({"中文": oracle_run(2)})})
    assert "中文" in written[0].read_text("utf-8")
