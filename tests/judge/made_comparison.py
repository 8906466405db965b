"""Long tables of made-up runs as a comparison returns them: here nobody computes an interval."""

from made_rows import RUNS, rows

from tomovox.judge.tables import build_table

CONTROLLED = {**RUNS, ("med2e3", 0, "other_patient"): rows(0.25)}

HOSTILE = "a_b%c&d#e$f~g^h\\i{j}k<script>l|m\"n'o*p[q]`r--s é 中 \n"
"""A model's name that means something else in every markup."""


def compared_table(runs=None):
    """Return a long table in which every value has an interval and every difference is a tie."""
    frame = build_table(CONTROLLED if runs is None else runs)
    missing = float("nan")
    frame = frame.assign(lo=frame["value"] - 0.05, hi=frame["value"] + 0.05, cases=4)
    frame["cases"] = frame["cases"].astype("Int64")
    tested = ("difference", "difference_lo", "difference_hi", "p", "p_adjusted")
    return frame.assign(**dict.fromkeys(tested, missing), best=False)


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
