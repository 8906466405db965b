"""Made-up records of what a model looked at: cases of one volume, of which questions are asked."""

import numpy as np

from tomovox.analysis.attended import Attended

KINDS = ("plane", "organ", "location")
PLANES, PHASES = ("axial", "coronal"), ("arterial", "portal venous")
EVIDENCE = (1, 2, 3)


def attended(case=0, kind="organ", scores=(0.25,) * 4, question="", volume=0, **known):
    """Return one record; every field that is not given is made of the others."""
    place = f"{case:03d}/{volume}/{kind}"
    fields = {"id": f"vqa_open/{place}", "case": f"{case:03d}", "volume": f"{case:03d}/{volume}"}
    fields |= {"task": "vqa_open", "question_type": kind, "question": question or f"which {kind}?"}
    fields |= {"plane": PLANES[case % 2], "phase": PHASES[case % 2]}
    return Attended(**(fields | {"scores": tuple(scores)} | known))


def run_of(scores_of, cases=12, kinds=KINDS, slices=8, evidence=EVIDENCE):
    """Return a record for each case and type, with the scores that `scores_of(case, kind)` gives.

    Of each plane, the evidence of every other case lies three slices deeper than elsewhere.
    """
    records = []
    for case in range(cases):
        known = {"evidence": tuple(e + deeper(case) for e in evidence), "scope": "slice"}
        records += [attended(case, kind, scores_of(case, kind), **known) for kind in kinds]
    assert all(len(record.scores) == slices for record in records)
    return records


def deeper(case):
    """Return how much deeper the evidence of a case lies; its plane does not tell."""
    return 3 * (case // 2 % 2)


def uniform_run(cases=12, slices=8):
    return run_of(lambda case, kind: np.full(slices, 1 / slices), cases, slices=slices)


def oracle_run(cases=12, slices=8):
    def on_evidence(case, kind):
        scores = np.zeros(slices)
        scores[[e + deeper(case) for e in EVIDENCE]] = 1 / len(EVIDENCE)
        return scores

    return run_of(on_evidence, cases, slices=slices)


def noisy_run(seed=0, cases=12, slices=8, case_noise=1.0, own_noise=1.0, kinds=KINDS):
    """Return scores that records of one case share, but for noise of their own."""
    generator = np.random.default_rng(seed)
    shared = case_noise * generator.normal(size=(cases, slices))

    def drawn(case, kind):
        logits = shared[case] + own_noise * generator.normal(size=slices)
        return np.exp(logits) / np.exp(logits).sum()

    return run_of(drawn, cases, kinds, slices)


def one(rows, statistic, question_type="all", against=None, **place):
    """Return the one row of a statistic and group; its plane and phase are all unless given."""
    wanted = {"statistic": statistic, "question_type": question_type, "plane": "", "phase": ""}
    wanted |= place | ({} if against is None else {"against": against})
    found = [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]
    assert len(found) == 1, f"{len(found)} rows of {wanted}"
    return found[0]
