"""Does the figure show each group's density over depth, and the evidence where it is known?"""

import dataclasses

import numpy as np
from made_attended import attended, oracle_run, uniform_run

from tomovox.analysis.depth import GRID
from tomovox.analysis.figure_depth import CENTRES, depth_figure


def titles(figure):
    return [axes.get_title().split("\n")[0] for axes in figure.axes]


def model_line(axes, place=0):
    """Return the line of a model; the first line of a panel is that of uniform scores."""
    return axes.lines[1 + place].get_ydata()


def evidence(axes):
    """Return the height of the grey area, above the middle of each bin."""
    corners = axes.collections[0].get_paths()[0].vertices
    top = {x: y for x, y in corners if y > 0}
    return np.array([top.get(x, 0.0) for x in CENTRES])


def test_each_task_and_type_has_a_panel_in_the_published_order():
    records = [attended(0, kind) for kind in ("location", "organ", "plane")]
    closed = [dataclasses.replace(records[0], id="c", task="vqa_closed")]
    report = [dataclasses.replace(records[0], id="r", task="report", question_type="")]
    assert titles(depth_figure({"a": records + closed, "b": report})) == [
        *("report", "vqa_closed: location"),
        *("vqa_open: plane", "vqa_open: organ", "vqa_open: location"),
    ]


def test_uniform_scores_have_density_one_whatever_the_number_of_slices():
    run = [attended(0, scores=[0.2] * 5), attended(1, scores=[1 / 40] * 40)]
    assert np.allclose(model_line(depth_figure({"a": run}).axes[0]), 1)


def test_the_area_below_each_line_is_one():
    for axes in depth_figure({"a": oracle_run()}).axes:
        assert np.isclose(model_line(axes).sum() / GRID, 1)


def test_scores_on_the_evidence_cover_the_area_of_the_evidence():
    axes = depth_figure({"a": oracle_run()}).axes[0]
    assert np.allclose(evidence(axes), model_line(axes))


def test_evidence_does_not_depend_on_how_many_models_were_asked():
    alone = depth_figure({"a": oracle_run()}).axes[0]
    both = depth_figure({"a": oracle_run(), "b": uniform_run()}).axes[0]
    assert np.array_equal(evidence(alone), evidence(both))


def test_without_evidence_there_is_no_grey_and_no_name_for_it():
    figure = depth_figure({"a": [attended(0), attended(1)]})
    assert len(figure.axes[0].collections) == 1  # the model's band
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "uniform"]


def test_panels_share_a_scale_that_starts_at_zero():
    assert {axes.get_ylim()[0] for axes in depth_figure({"a": oracle_run()}).axes} == {0}


def test_no_records_have_no_figure():
    assert depth_figure({"a": []}) is None
