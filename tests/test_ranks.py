"""Ranks as intervals: what they say in cases that are known, and how often they contain the true ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthbench.evidence.ranks import ranks
from synthbench.evidence.welch import NORMAL, degrees_of_freedom, p_values


def spans(*arguments: list[float]) -> list[tuple[int, int, int]]:
    return [(each.low, each.high, each.group) for each in ranks(*arguments)]


def test_rows_far_apart_have_a_rank_each_and_a_group_each() -> None:
    assert spans([0.2, 0.6, 0.4], [0.001] * 3, [10.0] * 3) == [(3, 3, 3), (1, 1, 1), (2, 2, 2)]


def test_rows_that_nothing_tells_apart_share_all_ranks_and_one_group() -> None:
    assert spans([0.41, 0.40, 0.42], [0.05] * 3, [4.0] * 3) == [(1, 3, 1)] * 3


def test_two_that_are_alike_and_a_third_far_below() -> None:
    assert spans([0.1, 0.50, 0.51], [0.01] * 3, [20.0] * 3) == [(3, 3, 2), (1, 2, 1), (1, 2, 1)]


def test_groups_join_rows_through_a_row_between_them() -> None:
    # The first and the last are told apart from each other, the wide one in the middle from neither.
    assert spans([0.60, 0.50, 0.40], [0.001, 0.2, 0.001], [30.0] * 3) == [(1, 2, 1), (1, 3, 1), (2, 3, 1)]


def test_rows_without_any_error_rank_by_their_means_and_equal_ones_share_a_rank() -> None:
    assert spans([0.5, 0.5, 0.4], [0.0] * 3, [NORMAL] * 3) == [(1, 2, 1), (1, 2, 1), (3, 3, 2)]


def test_no_row_and_one_row() -> None:
    assert ranks([], [], []) == []
    assert spans([0.3], [0.1], [1.0]) == [(1, 1, 1)]


@pytest.mark.parametrize(
    "wrong", [([0.1], [0.1, 0.2], [1.0]), ([float("nan")], [0.1], [1.0]), ([0.1], [-0.1], [1.0]), ([0.1], [0.1], [0.0])]
)
def test_what_cannot_be_ranked_is_an_error(wrong: tuple[list[float], list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ranks(*wrong)


def test_the_p_value_is_that_of_welchs_test() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.normal(0.4, 0.02, 5), rng.normal(0.38, 0.05, 7)
    error, other_error = (np.array([each.std(ddof=1) / len(each) ** 0.5]) for each in (one, other))
    ours = p_values(np.array([one.mean() - other.mean()]), error, other_error, np.array([4.0]), np.array([6.0]))
    assert ours[0] == pytest.approx(stats.ttest_ind(one, other, equal_var=False, alternative="greater").pvalue, rel=1e-9)


@given(st.floats(1.0, 1e4), st.floats(1e-4, 0.2))
def test_degrees_of_freedom_come_back_from_an_interval(freedom: float, error: float) -> None:
    half = error * float(stats.t.ppf(0.975, freedom))
    assert degrees_of_freedom(error, half) == pytest.approx(freedom, rel=1e-2)


def test_an_interval_that_no_t_distribution_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="too narrow"):
        degrees_of_freedom(0.1, 0.1)
    with pytest.raises(ValueError, match="error of 0"):
        degrees_of_freedom(0.0, 0.1)
    assert degrees_of_freedom(0.0, 0.0) == NORMAL
    assert degrees_of_freedom(1e-17, 0.0) == NORMAL
    assert degrees_of_freedom(0.1, 0.1 * 1.959964) == NORMAL


@pytest.mark.parametrize("replicates", [2, 3, 10])
@pytest.mark.parametrize("truth", [[0.4] * 8, [0.40, 0.40, 0.42, 0.45, 0.45, 0.50], [0.2, 0.3, 0.4, 0.5, 0.6]])
def test_in_at_least_95_percent_of_simulated_boards_all_true_ranks_are_in_their_intervals(truth: list[float], replicates: int) -> None:
    rng = np.random.default_rng(20_240_101)
    spread = np.linspace(0.01, 0.04, len(truth))
    true = np.array(truth)
    best, worst = 1 + (true[None] > true[:, None]).sum(1), len(true) - (true[None] < true[:, None]).sum(1)
    boards, held, singled = 1000, 0, 0
    for _ in range(boards):
        values = rng.normal(true, spread, (replicates, len(true)))
        found = ranks(values.mean(0).tolist(), (values.std(0, ddof=1) / replicates**0.5).tolist(), [replicates - 1.0] * len(true))
        held += all(each.low <= low and high <= each.high for each, low, high in zip(found, best, worst, strict=True))
        singled += sum(each.low == each.high for each in found)
    assert held / boards >= 0.95
    if replicates == 10 and len({*truth}) == len(truth):
        assert singled > 0.9 * boards * len(truth), "ten replicates tell rows apart that lie 0.1 AP from each other"
