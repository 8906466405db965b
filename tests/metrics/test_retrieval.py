"""Are ranks those of a plain sort, whatever ties, and is a report found wherever it is written?"""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from tomovox.metrics.retrieval import (
    Found,
    chance,
    decode_embedding,
    encode_embedding,
    hit_i2t,
    hit_t2i,
    ranks,
    ranks_m3d,
)
from tomovox.schema import Prediction, Task, TomovoxError

GOLDEN = json.loads((Path(__file__).parent / "retrieval_metrics.json").read_text(encoding="utf-8"))


def rows_of(volumes, texts, reports=None) -> list[Prediction]:
    reports = reports or [f"Report {i}." for i in range(len(volumes))]
    rows = []
    for i, (volume, text, report) in enumerate(zip(volumes, texts, reports, strict=True)):
        row = Prediction(f"r{i:02d}", Task.RETRIEVAL, "c", "", report, "")
        row.volume_embedding = encode_embedding(np.asarray(volume, np.float32))
        row.text_embedding = encode_embedding(np.asarray(text, np.float32))
        rows.append(row)
    return rows


def drawn(n=17, width=5, seed=0):
    """Volumes and texts of few whole numbers: many scores are equal, and sums are exact."""
    draw = np.random.default_rng(seed)
    return draw.integers(-1, 2, (n, width)), draw.integers(-1, 2, (n, width))


def test_ranks_are_those_of_the_golden_table():
    scores = np.array(GOLDEN["scores"])
    rows = rows_of(scores, np.eye(4), GOLDEN["reports"])
    for protocol, of in (("m3d", ranks_m3d), ("standard", ranks)):
        found, wanted = of(rows), GOLDEN["output"][protocol]
        assert [f.i2t for f in found] == wanted["i2t"]
        assert [f.t2i for f in found] == wanted["t2i"]


def test_published_ranks_are_places_in_a_stable_descending_sort():
    volumes, texts = drawn()
    scores = volumes @ texts.T
    for i, found in enumerate(ranks_m3d(rows_of(volumes, texts))):
        for row, rank in ((scores[i], found.i2t), (scores[:, i], found.t2i)):
            assert np.argsort(-row, kind="stable").tolist().index(i) == rank - 1


def test_without_ties_published_ranks_are_those_of_topk():
    import torch

    draw = np.random.default_rng(3)
    volumes, texts = draw.standard_normal((2, 20, 6)).astype(np.float32)
    order = torch.topk(torch.tensor(volumes) @ torch.tensor(texts).T, 20).indices
    places = [row.index(i) + 1 for i, row in enumerate(order.tolist())]
    assert [found.i2t for found in ranks_m3d(rows_of(volumes, texts))] == places


def test_a_rank_counts_the_wrong_ones_that_score_as_much_as_the_best_right_one():
    volumes, texts = (np.where(m.any(1, keepdims=True), m, 1) for m in drawn(seed=4))
    reports = [f"Report {i % 6}." for i in range(len(volumes))]

    def cosine(a, b):
        return round(float(a @ b / np.sqrt(float(a @ a) * float(b @ b))), 12)

    for i, found in enumerate(ranks(rows_of(volumes, texts, reports))):
        for query, gallery, rank in (
            (volumes[i], texts, found.i2t), (texts[i], volumes, found.t2i)
        ):  # fmt: skip
            scores = [cosine(query, item) for item in gallery]
            best = max(s for s, r in zip(scores, reports, strict=True) if r == reports[i])
            wrong = [s for s, r in zip(scores, reports, strict=True) if r != reports[i]]
            assert rank == 1 + sum(s >= best for s in wrong)


def test_a_report_that_differs_in_white_space_only_is_the_same():
    rows = rows_of(np.eye(3), np.eye(3)[[1, 0, 2]], ["A  cyst.\n", "A cyst.", "Normal."])
    assert [(f.i2t, f.right) for f in ranks(rows)] == [(1, 2), (1, 2), (1, 1)]
    assert [f.i2t for f in ranks_m3d(rows)] == [2, 2, 1]


def test_lengths_of_embeddings_do_not_count_in_a_cosine():
    volumes, texts = np.random.default_rng(5).standard_normal((2, 9, 4))
    scaled = rows_of(volumes * np.arange(1, 10)[:, None], texts * 7)
    assert ranks(scaled) == ranks(rows_of(volumes, texts))


def test_a_model_that_maps_all_to_one_point_finds_nothing():
    found = ranks(rows_of(np.ones((8, 3)), np.ones((8, 3))))
    assert {(f.i2t, f.t2i) for f in found} == {(8, 8)}


def test_a_hit_is_a_rank_up_to_k():
    found = Found(5, 6, 1, 100)
    assert [hit(k)(found) for hit in (hit_i2t, hit_t2i) for k in (1, 5, 10)] == [0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize(("right", "k"), [(1, 1), (1, 3), (2, 2), (5, 1), (2, 9)])
def test_chance_is_the_share_of_all_orders_with_a_hit(right, k):
    orders = list(permutations(range(5)))
    hits = sum(any(item < right for item in order[:k]) for order in orders)
    assert chance(k)(Found(1, 1, right, 5)) == pytest.approx(hits / len(orders), abs=1e-12)


# ---- embeddings ------------------------------------------------------------------------------


def test_an_embedding_is_read_as_it_was_written():
    vector = np.random.default_rng(0).standard_normal(7).astype(np.float32)
    assert np.array_equal(decode_embedding(encode_embedding(vector), "r"), vector)


def test_an_embedding_is_little_endian_float32_in_base64():
    assert encode_embedding(np.array([1.0, -2.0])) == "AACAPwAAAMA="


@pytest.mark.parametrize(
    "text", ["AAA", "AAAA", "not base64!", encode_embedding(np.array([np.nan]))]
)
def test_what_is_no_embedding_names_the_record(text):
    rows = rows_of(np.eye(2), np.eye(2))
    rows[1].text_embedding = text
    for of in (ranks, ranks_m3d):
        with pytest.raises(TomovoxError, match=r"^r01: an embedding .*; predict again$"):
            of(rows)


@pytest.mark.parametrize("field", ["volume_embedding", "text_embedding"])
def test_a_missing_embedding_or_one_of_another_width_is_named(field):
    for text in ("", encode_embedding(np.ones(3))):
        rows = rows_of(np.eye(2), np.eye(2))
        setattr(rows[1], field, text)
        with pytest.raises(TomovoxError, match=r"^r0\d: .*; predict again$"):
            ranks(rows)


def test_embeddings_of_two_widths_are_refused():
    with pytest.raises(TomovoxError, match="of volumes have 3 numbers, of reports 2"):
        ranks(rows_of(np.ones((2, 3)), np.ones((2, 2))))
