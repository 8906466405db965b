"""Which difference could be seen at all with these cases?"""

from __future__ import annotations

from statistics import NormalDist


def detectable(standard_error: float, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest true difference that a two-sided test at `level` finds at this power.

    `standard_error` is that of the paired difference, clustered by case (`Difference`); the result
    has its unit. One of 0 tells nothing: two runs that are right in the same places show no noise.
    For the first of m comparisons after Holm, `level` is 0.05 / m.
    Source: Miller, arXiv 2411.00640, on power analysis.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * standard_error
