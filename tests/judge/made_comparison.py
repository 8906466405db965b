"""Long tables of made-up runs as a comparison returns them: here nobody computes an interval."""

from made_rows import RUNS, rows

from tomovox.judge.compare import COMPARED, TESTED
from tomovox.judge.tables import COLUMNS, build_table

CONTROLLED = {**RUNS, ("med2e3", 0, "other_patient"): rows(0.25)}

HOSTILE = "a_b%c&d#e$f~g^h\\i{j}k<script>l|m\"n'o*p[q]`r--s é 中 \n"
"""A model's name that means something else in every markup."""


def compared_table(runs=None):
    """Return a long table in which every value has an interval and every difference is a tie."""
    frame = build_table(CONTROLLED if runs is None else runs)
    frame = frame.assign(**dict.fromkeys((*COMPARED, *TESTED), float("nan")))
    frame = frame.assign(lo=frame["value"] - 0.05, hi=frame["value"] + 0.05, standard_error=0.025)
    frame = frame.assign(cases=4, pair_n=frame["n"], pair_cases=4, best=False)
    whole = dict.fromkeys(("cases", "pair_n", "pair_cases"), "Int64")
    return frame.astype(whole)[[*COLUMNS, *COMPARED, *TESTED]]


def known(frame, metric, model="med2e3", **values):
    """Return the table with these values in the cell of a metric over all question types."""
    frame = frame.copy()
    cell = (frame["metric"] == metric) & (frame["model"] == model) & (frame["control"] == "none")
    cell &= (frame["question_type"] == "all") & (frame["protocol"] == "standard")
    assert cell.sum() == 1
    for name, value in values.items():
        frame.loc[cell, name] = value
    return frame


def differs(frame, metric, by, p=0.01, **where):
    """Return the table with a difference to the reference and its corrected p."""
    ends = {"difference_lo": by - 0.01, "difference_hi": by + 0.01}
    return known(frame, metric, difference=by, p=p / 2, p_adjusted=p, **ends, **where)
