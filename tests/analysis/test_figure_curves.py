"""Do curves show loss and gain by order, place by place, also where volumes have few slices?"""

import dataclasses

import numpy as np
import pytest
from made_attended import attended
from made_trials import POWER, trials_of

from tomovox.analysis.figure_curves import curves_figure
from tomovox.analysis.hiding import SHARES

RUN = [attended(case, scores=[1 / 32] * 32) for case in range(3)]


def curves(axes):
    """Return the heights of the lines of a panel, by order; the first is the zero line."""
    return dict(zip(POWER, (line.get_ydata() for line in axes.lines[1:]), strict=True))


def test_places_stand_side_by_side_deletion_first():
    figure = curves_figure({"a": {"percept": trials_of(RUN), "input": trials_of(RUN)}})
    places = [axes.get_title().split(":")[0] for axes in figure.axes]
    assert places == ["percept", "input"] * 2
    assert [axes.get_xlabel().split()[-1] for axes in figure.axes] == ["hidden"] * 2 + ["shown"] * 2


@pytest.mark.parametrize("panel", [0, 1])
def test_every_order_has_its_mean_loss_and_gain(panel):
    drawn = curves(curves_figure({"a": {"input": trials_of(RUN, lost=2.0)}}).axes[panel])
    for order, power in POWER.items():
        assert np.allclose(drawn[order], 2 * np.array(SHARES) ** power)


def test_a_volume_of_few_slices_is_read_between_its_points():
    trials = trials_of([attended(scores=[0.25] * 4)])
    drawn = curves(curves_figure({"a": {"input": trials}}).axes[0])["random"]
    assert np.allclose(drawn, 2 * np.array(SHARES))


def test_tasks_have_rows_and_scales_of_their_own():
    other = [dataclasses.replace(r, id=f"r{r.id}", task="report") for r in RUN]
    trials = [*trials_of(RUN, lost=1.0), *trials_of(other, lost=50.0)]
    report, _, vqa, _ = curves_figure({"a": {"input": trials}}).axes
    assert report.get_ylabel().split("\n")[:2] == ["a", "report"]
    assert report.get_ylim()[1] > 50 and vqa.get_ylim()[1] < 2


def test_models_of_one_task_share_their_scale():
    trials = {name: {"input": trials_of(RUN, lost=lost)} for name, lost in (("b", 1.0), ("a", 9.0))}
    axes = curves_figure(trials).axes
    assert [each.get_ylabel().split("\n")[0] for each in axes[::2]] == ["b", "a"]
    assert axes[0].get_ylim() == axes[2].get_ylim()


def test_a_place_that_was_not_measured_says_so():
    trials = {"a": {"percept": trials_of(RUN)}, "b": {"input": trials_of(RUN)}}
    told = [axes.get_title() for axes in curves_figure(trials).axes]
    assert told[:2] == ["percept: n = 3, 3 cases", "input: not measured"]


@pytest.mark.parametrize("trials", [{}, {"a": {}}, {"a": {"input": []}}])
def test_no_trials_have_no_figure(trials):
    assert curves_figure(trials) is None
