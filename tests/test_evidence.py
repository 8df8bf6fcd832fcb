"""Intervals, verdicts, variances and equivalent images, in cases that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from synthbench.evidence import Estimate, Spread, best_of, differences, judge, judge_all, levels
from synthbench.evidence.intervals import image_variances, pooled


def resamples(values, shared=0.0, own=0.0, count=4000, seed=0):
    """Bootstrap values with a variance that a row's replicates share, and one that each has for itself."""
    rng = np.random.default_rng(seed)
    rows, replicates = values.shape
    both = shared**0.5 * rng.normal(size=(rows, 1, count)) + own**0.5 * rng.normal(size=(rows, replicates, count))
    return values[..., None] + both


def estimate(mean, between=4e-4, shared=0.0, replicates=3, images=100, freedom=2.0, interaction=0.0):
    return Estimate(mean, replicates, Spread(replicates, images, between, freedom, shared, interaction))


# ---------------------------------------------------------------------------------------------------------- intervals


def test_one_row_without_image_noise_has_students_interval():
    values = np.array([[0.30, 0.33, 0.36]])
    (found,) = levels(values, resamples(values), images=100)
    expected = stats.t.interval(0.95, 2, 0.33, 0.03 / 3**0.5)
    assert found.interval == pytest.approx(expected)
    assert found.error == pytest.approx(0.03 / 3**0.5)
    assert found.freedom == pytest.approx(2)
    assert found.lower() == pytest.approx(0.33 - stats.t.ppf(0.95, 2) * 0.03 / 3**0.5)
    assert found.upper() == pytest.approx(0.33 + stats.t.ppf(0.95, 2) * 0.03 / 3**0.5)


def test_a_difference_is_taken_within_replicates():
    values = np.array([[0.5, 0.6, 0.7], [0.4, 0.5, 0.6]])
    base, row = differences(values, resamples(values), base=0, images=100)
    assert row.mean == pytest.approx(-0.1)
    assert row.interval == pytest.approx((-0.1, -0.1), abs=1e-6)
    assert base.interval == (0, 0)


def test_a_row_of_the_same_cells_as_the_base_differs_by_exactly_nothing_and_lends_no_confidence_to_others():
    values = np.array([[0.5, 0.6, 0.7], [0.5, 0.6, 0.7], [0.40, 0.53, 0.66]])
    noise = resamples(values[:1], shared=1e-4)[0] - values[0][:, None]
    base, same, row = differences(values, values[..., None] + noise, base=0, images=100)
    assert base.interval == same.interval == (0, 0)
    assert row.spread
    assert row.spread.between == pytest.approx(0.03**2)


def test_one_replicate_gives_a_mean_and_no_interval():
    values = np.array([[0.5], [0.45]])
    _, row = differences(values, resamples(values, shared=1e-4), base=0, images=100)
    assert row.mean == pytest.approx(-0.05)
    assert {row.interval, row.lower(), row.upper(), row.error, row.freedom, row.spread} == {None}
    assert judge(row).word == "not settled"


def test_missing_cells_leave_the_complete_pairs():
    values = np.array([[0.5, 0.6, np.nan, 0.5], [0.4, np.nan, 0.3, 0.44]])
    _, row = differences(values, resamples(values), base=0, images=100)
    assert row.replicates == 2
    assert row.mean == pytest.approx((-0.1 - 0.06) / 2)
    alone = np.array([[0.5, 0.5], [0.4, 0.44]])
    assert row.interval == pytest.approx(differences(alone, resamples(alone), base=0, images=100)[1].interval)


def test_a_row_without_any_cell_has_no_mean():
    values = np.array([[0.5, 0.6], [np.nan, np.nan]])
    _, row = differences(values, resamples(values), base=0, images=100)
    assert np.isnan(row.mean)
    assert row.replicates == 0
    assert row.interval is None


def test_image_variance_that_replicates_do_not_share_is_counted_once():
    """s^2 contains it: only the covariance between replicates is added."""
    values = np.array([[0.30, 0.33, 0.36]])
    (found,) = levels(values, resamples(values, shared=4e-4, own=9e-4, count=200_000), images=100)
    assert found.spread
    assert found.spread.shared == pytest.approx(4e-4, rel=0.03)
    assert found.spread.interaction == pytest.approx(9e-4, rel=0.03)
    assert found.error == pytest.approx((0.03**2 / 3 + 4e-4) ** 0.5, rel=0.02)


def test_image_variances_by_hand():
    resampled = np.array([[0.0, 1.0, 2.0, np.nan], [0.0, 3.0, 0.0, 5.0]])
    # Variances 1 and 3, covariance 0.
    assert image_variances(resampled) == pytest.approx((0, 2))
    assert image_variances(resampled[[0, 0]]) == pytest.approx((1, 0))


def test_a_quiet_row_is_widened_and_a_loud_one_narrowed_towards_the_others():
    values = np.array([[0.5, 0.51, 0.52], [0.5, 0.53, 0.56]])
    quiet, loud = levels(values, resamples(values), images=100)
    assert quiet.spread
    assert loud.spread
    assert quiet.spread.between == pytest.approx((1e-4 + 5e-4) / 2)
    assert loud.spread.between == pytest.approx((9e-4 + 5e-4) / 2)
    assert 2 < loud.spread.freedom < 4


def test_pooling_counts_equal_rows_once_and_rows_that_do_not_vary_not_at_all():
    row = [0.5, 0.53, 0.56]
    assert pooled(np.array([row])) == pytest.approx((9e-4, 2))
    assert pooled(np.array([row, row, [0.4, 0.4, 0.4]])) == pytest.approx((9e-4, 2))
    assert pooled(np.array([[0.4, 0.4, 0.4]])) == (0, 0)


def test_a_detector_that_no_seed_changes_has_the_test_images_variance_alone():
    values = np.array([[0.5, 0.5, 0.5]])
    (found,) = levels(values, resamples(values, shared=1e-4, count=100_000), images=51)
    assert found.error == pytest.approx(0.01, rel=0.02)
    assert found.freedom == pytest.approx(50)


@pytest.mark.parametrize(("shape", "images"), [((2, 3, 50), 100), ((1, 3, 1), 100), ((1, 3, 50), 1), ((1, 2, 50), 100)])
def test_arrays_that_do_not_fit_are_refused(shape, images):
    with pytest.raises(ValueError, match=r"shape|at least 2"):
        levels(np.array([[0.1, 0.2, 0.3]]), np.zeros(shape), images)


# ----------------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(("mean", "word"), [(0.0, "replaces"), (-0.02, "not settled"), (-0.08, "not settled"), (-0.1, "does not")])
def test_the_bounds_decide(mean, word):
    # The one-sided bound is 2.92 * 0.02 / sqrt(3) = 0.0337 from the mean, the margin 0.05.
    assert judge(estimate(mean)).word == word


def test_a_margin_is_an_option_and_not_negative():
    assert judge(estimate(-0.02), margin=0.1).word == "replaces"
    assert judge(estimate(0.0), margin=0.0).word == "not settled"
    with pytest.raises(ValueError, match="margin"):
        judge(estimate(0.0), margin=-0.1)


def test_exactly_the_same_cells_replace():
    assert judge(estimate(0.0, between=0, freedom=float("inf"))).word == "replaces"
    assert judge(estimate(0.0, between=0, freedom=float("inf")), margin=0).word == "not settled"


def test_holm_tests_the_smallest_p_value_at_the_strictest_level_and_stops_at_the_first_that_fails():
    def with_p(p):
        return estimate(-0.05 + stats.t.ppf(1 - p, 2) * 0.02 / 3**0.5)

    words = [each.word for each in judge_all([with_p(0.04), with_p(0.012), with_p(0.02)])]
    # 0.012 <= 0.05 / 3, 0.02 <= 0.05 / 2, 0.04 <= 0.05
    assert words == ["replaces"] * 3
    strict = judge_all([with_p(0.04), with_p(0.012), with_p(0.03)])
    # 0.03 > 0.05 / 2, so 0.04 is not tested, though alone it would pass.
    assert [each.word for each in strict] == ["not settled", "replaces", "not settled"]
    assert [each.level for each in strict] == pytest.approx([0.025, 0.05 / 3, 0.025])
    assert judge(with_p(0.04)).word == "replaces"
    assert judge_all([with_p(0.04), Estimate(0.3, 1, None)])[0].word == "replaces"


def test_more_spread_needs_more_replicates_and_more_images():
    needed = [judge(estimate(-0.03, between=sd**2, shared=1e-6)).settling for sd in (0.02, 0.03, 0.04, 0.06)]
    replicates = [each.replicates for each in needed if each and each.replicates]
    assert len(replicates) == 4
    assert replicates == sorted(set(replicates))
    needed = [judge(estimate(-0.03, between=1e-6, shared=sd**2)).settling for sd in (0.02, 0.03, 0.04, 0.06)]
    images = [each.images for each in needed if each and each.images]
    assert len(images) == 4
    assert images == sorted(set(images))


def test_what_would_settle_it_does_settle_it():
    spread = Spread(replicates=3, images=100, between=9e-4, freedom=4, shared=1e-4, interaction=2e-4)
    settling = judge(Estimate(-0.02, 3, spread)).settling
    assert settling
    assert settling.replicates
    assert settling.images is None  # replicates alone leave too much
    more = spread.scaled(3 + settling.replicates, 100)
    assert judge(Estimate(-0.02, 3 + settling.replicates, more)).word == "replaces"
    fewer = spread.scaled(2 + settling.replicates, 100)
    assert judge(Estimate(-0.02, 2 + settling.replicates, fewer)).word == "not settled"


def test_no_number_of_replicates_helps_where_the_test_images_are_too_few():
    settling = judge(estimate(-0.03, between=1e-5, shared=4e-4)).settling
    assert settling
    assert settling.replicates is None
    assert settling.images
    assert judge(estimate(-0.05)).settling == judge(estimate(-0.05, shared=1e-4)).settling
    assert judge(estimate(0.2)).settling is None


def test_the_best_of_several_has_wider_bounds_than_alone():
    several = [estimate(0.01), estimate(0.03), estimate(-0.01), Estimate(0.5, 1, None)]
    best = best_of(several)
    assert best
    assert (best.row, best.estimate) == (1, several[1])
    assert best.lower == pytest.approx(several[1].lower(0.05 / 3))
    assert best.lower < several[1].lower()
    assert best.upper > several[1].upper()
    assert best_of([Estimate(0.5, 1, None)]) is None
