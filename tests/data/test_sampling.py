"""Is every study visited as often as its weight says, the same way for the same seed?"""

import numpy as np
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper

from tomovox.data.sampling import StudySampler


def test_a_pass_visits_every_study_once():
    assert sorted(row for row, _ in StudySampler(10, seed=3)) == list(range(10))


def test_the_same_seed_and_epoch_give_the_same_pass():
    first, second = StudySampler(10, seed=3), StudySampler(10, seed=3)
    second.set_epoch(4)
    list(second)
    second.set_epoch(0)
    assert list(first) == list(second)


def test_another_epoch_has_another_order_and_other_draws():
    sampler = StudySampler(10, seed=3)
    passes = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        passes.append(list(sampler))
    assert [row for row, _ in passes[0]] != [row for row, _ in passes[1]]
    assert not {seed for _, seed in passes[0]} & {seed for _, seed in passes[1]}


def test_epochs_advance_where_nobody_sets_them():
    sampler, told = StudySampler(10, seed=3), StudySampler(10, seed=3)
    list(sampler)
    told.set_epoch(1)
    assert list(sampler) == list(told)


def test_two_processes_share_the_studies_of_every_epoch_with_new_draws():
    ranks = [
        DistributedSamplerWrapper(StudySampler(6, seed=3), num_replicas=2, rank=rank)
        for rank in (0, 1)
    ]
    passes = [[pair for rank in ranks for pair in rank] for _ in range(2)]
    assert [sorted(row for row, _ in one) for one in passes] == [list(range(6))] * 2
    assert not {seed for _, seed in passes[0]} & {seed for _, seed in passes[1]}


def test_without_shuffling_rows_stand_in_order():
    assert [row for row, _ in StudySampler(5, shuffle=False)] == list(range(5))


def test_equal_weights_visit_as_none_do():
    assert list(StudySampler(7, 3, weights=[0.1] * 7)) == list(StudySampler(7, 3))


def test_a_study_is_visited_in_proportion_to_its_weight():
    sampler = StudySampler(100, seed=3, weights=[1.0] * 50 + [3.0] * 50)
    counts = np.zeros(100)
    for epoch in range(40):
        sampler.set_epoch(epoch)
        rows = [row for row, _ in sampler]
        assert len(rows) == 100
        heavy = sum(row >= 50 for row in rows)
        assert heavy in (74, 75, 76)
        np.add.at(counts, rows, 1)
    assert set((counts / 40).round(1)) <= {0.4, 0.5, 0.6, 1.4, 1.5, 1.6}


def test_visits_are_rounded_to_a_neighbour_of_the_expected_number():
    visits = [row for row, _ in StudySampler(10, seed=1, weights=[1.0] * 9 + [11.0])]
    assert visits.count(9) in (5, 6)
