"""Is a band the interval that the table would give at each point, of the same draws?"""

from dataclasses import replace

import numpy as np
from made_attended import attended
from matplotlib.figure import Figure

from tomovox.analysis.figure_band import band_of, draw_band
from tomovox.analysis.figure_style import looks
from tomovox.analysis.rows import Measure, mean_rows, parts

CASES = ["a", "a", "b", "c", "c", "c"]


def lines(points=3):
    return np.random.default_rng(0).normal(size=(len(CASES), points))


def test_each_point_has_the_mean_and_interval_of_a_row_of_the_table():
    values = lines()
    kinds = ("x", "y", "x", "x", "y", "z")
    records = [
        replace(attended(0, kind), case=case) for case, kind in zip(CASES, kinds, strict=True)
    ]
    band = band_of(values, CASES)
    for point, column in enumerate(values.T):
        row = next(mean_rows([Measure("mean", column, {})], parts(records)))
        wanted = (row.value, row.lo, row.hi)
        assert np.allclose((band.mean[point], band.lo[point], band.hi[point]), wanted)


def test_cases_that_are_all_alike_have_a_band_of_no_width():
    band = band_of(np.ones((6, 2)), CASES)
    assert np.allclose(band, 1)


def test_one_case_has_a_mean_and_no_interval():
    band = band_of(lines(), ["a"] * 6)
    assert np.allclose(band.mean, lines().mean(axis=0))
    assert np.isnan(band.lo).all() and np.isnan(band.hi).all()


def test_a_line_is_drawn_with_its_band():
    axes = Figure().subplots()
    band = band_of(lines(), CASES)
    draw_band(axes, np.arange(3.0), band, looks("a")["a"])
    assert np.array_equal(axes.lines[0].get_ydata(), band.mean)
    drawn = axes.collections[0].get_paths()[0].get_extents()
    assert np.allclose((drawn.y0, drawn.y1), (band.lo.min(), band.hi.max()))
