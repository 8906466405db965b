"""Made-up trials: what hiding slices would do to answers that need a known share of them."""

import numpy as np

from tomovox.analysis.hiding import ORDERS, Trial, counts_of

POWER = {"scores": 0.5, "random": 1.0, "centre": 0.75}
"""The loss by an order is the share of hidden slices to this power: scores find them first."""


def trials_of(records, full=-1.0, lost=2.0):
    """Return a trial of each record, whose answer loses `lost` nats when all slices are hidden."""
    return [trial_of(record, full, lost) for record in records]


def trial_of(record, full=-1.0, lost=2.0):
    n = len(record.scores)
    shares = counts_of(n) / n
    curves = {order: lost * shares ** POWER[order] for order in ORDERS}
    return Trial(
        record,
        shares,
        deletion={order: full - curve for order, curve in curves.items()},
        insertion={order: full - lost + curve for order, curve in curves.items()},
        top=dict.fromkeys(ORDERS, full),
        rest=dict.fromkeys(ORDERS, full),
        without=np.full(n, full),
    )
