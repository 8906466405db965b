"""Do the figures of the table show its numbers, each once, and mark what is significant?"""

import dataclasses

import numpy as np
import pandas
import pytest
from made_attended import noisy_run, oracle_run, uniform_run

from tomovox.analysis.figure_statistics import localisation_figure, type_figure
from tomovox.analysis.localisation import localisation_rows
from tomovox.analysis.rows import Row
from tomovox.analysis.table import attention_table, write_attention
from tomovox.analysis.type_shift import type_rows


def pair(kinds, value, p, task="vqa_open"):
    numbers = (value, 0.0, value, "permuted", 0.0, value, 0.0, 0.0, p)
    return Row("type_shift", task, kinds, "", "", *numbers, n=9, cases=3)


@pytest.fixture(scope="module")
def frame():
    found = {("uniform", 0): uniform_run(), ("oracle", 0): oracle_run()}
    found |= {("noisy", seed): noisy_run(seed) for seed in (0, 1)}
    return attention_table({run: localisation_rows(records) for run, records in found.items()})


def dots(axes):
    """Return x and y of every dot; baselines have no line, intervals no marker."""
    return [
        (*line.get_xydata()[0].tolist(), line.get_color())
        for line in axes.lines
        if line.get_marker() not in ("None", "") and line.get_linestyle() != "None"
    ]


def test_each_run_has_a_dot_for_each_group_in_its_own_lane(frame):
    figure = localisation_figure(frame)
    for axes in figure.axes:
        found = dots(axes)
        assert len(found) == 4 * 4  # runs; all, plane, organ and location
        assert len({y for _, y, _ in found}) == len(found)


def test_dots_stand_at_the_values_of_the_table(frame):
    mass = localisation_figure(frame).axes[0]
    rows = frame[(frame["statistic"] == "evidence_mass") & (frame["plane"] == "")]
    rows = rows[rows["phase"] == ""]
    assert {x for x, *_ in dots(mass)} == set(rows["value"])


def test_seeds_of_a_model_look_alike_and_models_do_not(frame):
    assert len({colour for *_, colour in dots(localisation_figure(frame).axes[0])}) == 3


def test_baselines_that_all_runs_share_are_drawn_once(frame):
    axes = localisation_figure(frame).axes[0]
    uniform = [line for line in axes.lines if line.get_marker() == "|"]
    assert [len(line.get_xdata()) for line in uniform] == [1] * 4


def test_groups_are_named_and_all_types_come_first(frame):
    labels = [text.get_text() for text in localisation_figure(frame).axes[0].get_yticklabels()]
    assert labels == [f"vqa_open: {kind}" for kind in ("all", "plane", "organ", "location")]


def test_a_table_that_was_written_and_read_gives_the_same_dots(frame, tmp_path):
    read = pandas.read_csv(write_attention(frame, tmp_path))
    found, wanted = (
        dots(localisation_figure(read).axes[1]),
        dots(localisation_figure(frame).axes[1]),
    )
    assert np.allclose([each[:2] for each in found], [each[:2] for each in wanted], atol=1e-6)


def test_each_pair_of_types_has_its_divergence_once():
    rows = [pair("organ vs plane", 2e-3, 0.001), pair("location vs organ", 1e-3, 0.9)]
    rows += [pair("location vs plane", 3e-3, 0.001), pair("all", 2e-3, 0.001)]
    axes = type_figure(attention_table({("a", 0): rows})).axes[0]
    cells = axes.images[0].get_array().filled(np.nan)
    assert np.allclose(cells, [[2, np.nan], [3, 1]], equal_nan=True)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["plane", "organ"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["organ", "location"]


def test_a_star_marks_an_adjusted_p_below_the_level():
    rows = [pair("organ vs plane", 2e-3, 0.02), pair("location vs organ", 1e-3, 0.03)]
    rows += [pair("location vs plane", 3e-3, 0.001)]
    axes = type_figure(attention_table({("a", 0): rows})).axes[0]
    assert {text.get_text() for text in axes.texts} == {"2*", "1*", "3*"}
    rows[1] = dataclasses.replace(rows[1], p=0.9)
    axes = type_figure(attention_table({("a", 0): rows})).axes[0]
    assert {text.get_text() for text in axes.texts} == {"2*", "1", "3*"}


def test_two_types_have_one_cell():
    rows = type_rows(noisy_run(cases=3, kinds=("organ", "plane")))
    axes = type_figure(attention_table({("a", 0): rows})).axes[0]
    assert axes.images[0].get_array().shape == (1, 1)


def test_each_run_and_task_has_a_map_and_all_have_one_scale():
    rows = [pair("organ vs plane", 2e-3, 0.02), pair("organ vs plane", 8e-3, 0.02, "vqa_closed")]
    figure = type_figure(attention_table({("a", 0): rows, ("b", 1): rows}))
    maps = [axes for axes in figure.axes if axes.images and axes.get_title()]
    assert [axes.get_title() for axes in maps] == [
        f"{run}\n{task}"
        for task in ("vqa_closed", "vqa_open")
        for run in ("a, seed 0", "b, seed 1")
    ]
    assert {axes.images[0].get_clim() for axes in maps} == {(0, 8)}


@pytest.mark.parametrize("draw", [localisation_figure, type_figure])
def test_a_table_without_such_rows_has_no_figure(draw):
    assert draw(attention_table({})) is None
