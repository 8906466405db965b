"""A small comparison as a page takes it: two models, one with a control, and an evil one."""

import numpy as np
import pandas
from hostile_text import HOSTILE

from tomovox.report.content import Answer, Content, Figure, Sample, Scale
from tomovox.sheets import Sheet

SCALES = {
    "accuracy.standard": Scale("percent"),
    "parsed_rate.standard": Scale("percent", headline=False),
    "accuracy.m3d": Scale("percent"),
    "rougeL.standard": Scale("fraction"),
}
PRIMARY = {"vqa_closed": "accuracy.standard", "report": "rougeL.standard"}
RUNS = {("blind", "none"): 0.5, ("med2e3", "none"): 0.7, ("med2e3", "no_image"): 0.4}
DEPTH = 12
STEP = 20
"""Slice s of a made volume has the grey value s times this."""


def row(model, control, key, task, kind, value, **values):
    metric, protocol = key.rsplit(".", 1)
    return {
        **{"task": task, "question_type": kind, "metric": metric, "protocol": protocol},
        **{"model": model, "seed": 0, "control": control, "value": value, "n": 60},
        **{"signature": f"{metric}|v:1", "note": "", "lo": value - 0.1, "hi": value + 0.1},
        **{"cases": 12, "difference": np.nan, "difference_lo": np.nan, "difference_hi": np.nan},
        **{"p": np.nan, "p_adjusted": np.nan, "best": False, **values},
    }


def table(more=()):
    """Return a long table in which med2e3 is best in accuracy.standard, and its control worse."""
    better = {"difference": 0.2, "p": 0.001, "p_adjusted": 0.002, "best": True}
    worse = {"difference": -0.3, "p": 0.001, "p_adjusted": 0.002}
    told = {("med2e3", "none"): better, ("med2e3", "no_image"): worse}
    rows = []
    for (model, control), value in RUNS.items():
        for kind in ("all", "plane", "organ"):
            for key in ("accuracy.standard", "parsed_rate.standard", "accuracy.m3d"):
                known = told.get((model, control), {}) if key == "accuracy.standard" else {}
                rows.append(row(model, control, key, "vqa_closed", kind, value, **known))
        rows.append(row(model, control, "rougeL.standard", "report", "all", value / 2))
    return pandas.DataFrame([*rows, *more])


def sample(place, volume=None, evidence=(3, 4), **values):
    """Return a closed question: blind is right of every second, med2e3 of every third."""
    right = {"blind": place % 2 == 0, "med2e3": place % 3 == 0}
    weights = np.arange(1, DEPTH + 1) / np.arange(1, DEPTH + 1).sum()
    answers = {
        model: Answer(
            "A. axial" if good else "B. oblique",
            {"accuracy.standard": float(good), "accuracy.m3d": float(good)},
            tuple(weights) if model == "med2e3" else (),
        )
        for model, good in right.items()
    }
    known = {
        **{"id": f"vqa_closed/test/{place:06d}", "case": f"case-{place // 5}"},
        **{"task": "vqa_closed", "question": f"Which plane is number {place}?"},
        **{"reference": "A. axial", "choices": ("axial", "oblique"), "answers": answers},
        **{"question_type": "plane" if place % 4 else "organ", "evidence": evidence},
        **{"volume": f"v{place % 3}.npy" if volume is None else volume, "series": 1},
        "scope": "slice",
    }
    return Sample(**{**known, **values})


def volume():
    """Return a volume whose slices tell their own number."""
    grey = np.arange(DEPTH, dtype=np.uint8)[:, None, None] * STEP
    return np.broadcast_to(grey, (DEPTH, 20, 30)).astype(np.uint8)


def evil():
    """Return a sample in which everything that can be text is hostile."""
    answer = Answer(HOSTILE, {"accuracy.standard": 1.0}, (1.0, 0.0))
    text = {"id": HOSTILE, "case": HOSTILE, "question": HOSTILE, "reference": HOSTILE}
    kinds = {"task": HOSTILE, "question_type": HOSTILE, "volume": HOSTILE}
    return sample(0, **{**text, **kinds, "choices": (HOSTILE,), "answers": {HOSTILE: answer}})


def content(count=120, **values):
    """Return a comparison of so many samples, with slices of v0.npy and v1.npy, not of v2.npy."""
    known = {
        "title": "A made comparison",
        **{"table": table(), "scales": SCALES, "primary": PRIMARY, "legend": "* better, † worse"},
        **{"provenance": {"commit": "64f57b0"}, "notes": ["volumes are synthetic"]},
        "sheets": [Sheet("Cost", ("model", "hours"), (("med2e3", "2.5"), ("  no_image", "0.1")))],
        "figures": [Figure("Mean weights", '<svg xmlns="http://www.w3.org/2000/svg"/>')],
        "samples": [sample(place) for place in range(count)],
        "volumes": [("v0.npy", volume()), ("v1.npy", volume())],
    }
    return Content(**{**known, **values})


def evil_content():
    """Return a comparison with hostile text in all of its places."""
    cell = row(HOSTILE, "none", f"{HOSTILE}.standard", HOSTILE, HOSTILE, 0.5, signature=HOSTILE)
    noted = row(HOSTILE, HOSTILE, "accuracy.standard", "vqa_closed", "all", np.nan, note=HOSTILE)
    return content(
        title=HOSTILE,
        table=table([cell, noted]),
        legend=HOSTILE,
        provenance={HOSTILE: HOSTILE},
        notes=[HOSTILE],
        sheets=[Sheet(HOSTILE, (HOSTILE,), ((HOSTILE,),), told=(HOSTILE,))],
        figures=[Figure(HOSTILE, HOSTILE)],
        samples=[evil(), *(sample(place) for place in range(3))],
        volumes=[(HOSTILE, volume())],
    )
