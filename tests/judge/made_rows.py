"""Rows of made-up runs, as a scorer returns them."""

from tomovox.metrics.catalogue import METRICS


def cell(task, metric, protocol, value, kind="all", n=10, note=""):
    row = {"task": task, "question_type": kind, "metric": metric, "protocol": protocol}
    row |= {"value": value, "n": n, "signature": f"{metric}|v:1"}
    return row | ({"note": note} if note else {})


def rows(value=0.25):
    closed = [
        cell("vqa_closed", "accuracy", protocol, value, kind, n)
        for protocol in ("m3d", "standard")
        for kind, n in (("all", 10), ("macro", 10), ("plane", 6), ("organ", 4))
    ]
    texts = [
        cell("report", metric.name, metric.protocol, value)
        for metric in METRICS.values()
        if metric.name.startswith(("bleu", "rouge", "meteor", "exact"))
    ]
    missing = cell("report", "bertscore_f1", "m3d", None, note="unavailable: no encoder")
    return [*closed, *texts, missing]


RUNS = {"med2e3-s0": rows(0.5), "blind-s0": rows(0.25)}
