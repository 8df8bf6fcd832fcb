"""Intervals, verdicts, variances and equivalent images, in cases that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from evidence_simulation import IOUS, Row, average_precision, detect, draw_photos, simulate, skill_of
from scipy import stats
from synthbench.evidence import (
    Estimate,
    Replicates,
    Spread,
    advice,
    best_of,
    differences,
    equivalent_images,
    judge,
    judge_all,
    levels,
    split,
)
from synthbench.evidence.equivalent import isotonic
from synthbench.evidence.intervals import image_variances, pooled
from synthbench.metrics import Matches, summarize


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


# ----------------------------------------------------------------------------------------------- where variance comes from


def test_the_parts_of_the_variance_are_differences_between_kinds_of_rows():
    rows = np.array([[0.50, 0.51, 0.52], [0.40, 0.42, 0.44], [0.40, 0.43, 0.46], [0.41, 0.44, 0.47]])
    found = split([Replicates(("real", "references", "generated", "generated"), rows, resamples(rows))])
    assert found.detector
    assert found.references
    assert found.generator
    assert found.detector.deviation == pytest.approx(0.01)
    assert found.references.variance == pytest.approx(4e-4 - 1e-4)
    assert found.generator.variance == pytest.approx(9e-4 - 4e-4)
    assert found.detector.freedom == 2
    assert found.generator.freedom == pytest.approx(5e-4**2 / (9e-4**2 / 4 + 4e-4**2 / 2))


def test_a_part_is_never_below_nothing_and_none_where_no_row_shows_it():
    rows = np.array([[0.50, 0.53, 0.56], [0.40, 0.41, 0.42]])
    found = split([Replicates(("real", "references"), rows, resamples(rows))])
    assert found.references
    assert found.references.variance == 0
    assert found.generator is None
    alone = split([Replicates(("references",), rows[1:, :1], resamples(rows[1:, :1]))])
    assert (alone.detector, alone.references, alone.shared) == (None, None, None)


def test_detectors_are_pooled_and_the_images_part_is_taken_out():
    rows = np.array([[0.50, 0.51, 0.52]])
    louder = np.array([[0.50, 0.53, 0.56, np.nan]])
    found = split([Replicates(("real",), rows, resamples(rows)), Replicates(("real",), louder, resamples(louder))])
    assert found.detector
    assert found.detector.variance == pytest.approx(5e-4)
    assert found.detector.freedom == 4
    noisy = split([Replicates(("real",), louder, resamples(louder, shared=2e-4, own=4e-4, count=200_000))])
    assert noisy.detector
    assert noisy.detector.variance == pytest.approx(5e-4, rel=0.05)
    assert noisy.shared == pytest.approx(2e-4, rel=0.05)
    assert noisy.interaction == pytest.approx(4e-4, rel=0.05)


def test_shapes_of_a_split_are_checked():
    rows = np.zeros((2, 3))
    with pytest.raises(ValueError, match="1 kinds"):
        split([Replicates(("real",), rows, resamples(rows))])


def test_the_advice_is_to_add_what_the_variance_comes_from():
    found = advice([estimate(0, between=9e-4, shared=1e-4)])
    assert found
    assert found.add == "replicates"
    assert (found.replicates, found.images) == pytest.approx((3 / 8, 1 / 8))
    found = advice([estimate(0, between=9e-4, shared=9e-4)])
    assert found
    assert found.add == "test images"
    found = advice([estimate(0, between=9e-4, shared=1e-4, interaction=9e-4)])
    assert found
    assert found.add == "test images"
    assert found.images == pytest.approx(1 / 2)
    assert advice([Estimate(0.1, 1, None), estimate(0, between=0, freedom=float("inf"))]) is None


# ----------------------------------------------------------------------------------------------- equivalent photographs

COUNTS = (20, 40, 80, 160)
CURVE = np.array([[0.10], [0.20], [0.30], [0.40]]) + np.array([0.0, 0.01, -0.01])


def equivalent(ap, curve=CURVE, spread=0.001, counts=COUNTS):
    generated = ap + spread * np.array([1.0, -1.0, 0.0])[: curve.shape[1]]
    noise = 1e-4 * np.random.default_rng(0).normal(size=50)
    return equivalent_images(counts, curve, curve[..., None] + noise, generated, generated[:, None] + noise, 100)


def test_the_number_of_photographs_is_read_off_the_curve_in_its_logarithm():
    found = equivalent(0.25)
    assert found.position == "within"
    assert found.images == pytest.approx(40 * 2**0.5)
    assert found.low
    assert found.high
    assert 20 < found.low < found.images < found.high < 160
    assert equivalent(0.30).images == pytest.approx(80)


def test_a_set_that_is_better_than_all_photographs_and_one_that_is_worse_than_the_fewest():
    more = equivalent(0.6)
    assert (more.position, more.images, more.low, more.high) == ("more", None, 160, None)
    fewer = equivalent(0.01)
    assert (fewer.position, fewer.images, fewer.low, fewer.high) == ("fewer", None, None, 20)
    near = equivalent(0.401)
    assert near.position == "more"
    assert near.low
    assert 80 < near.low < 160
    assert near.high is None


def test_the_interval_has_the_best_guess_in_it():
    quiet, loud = np.array([0.001, -0.001, 0.0]), np.array([0.015, -0.015, 0.0])
    curve = np.array([[0.100], [0.101], [0.102], [0.103]]) + np.stack([quiet, loud, -loud, loud[::-1]])
    found = equivalent(0.08, curve)
    assert (found.position, found.low) == ("fewer", None), "though loud as they are only larger numbers are not rejected"


def test_more_spread_gives_a_wider_range_of_photographs():
    quiet, loud = equivalent(0.25), equivalent(0.25, spread=0.03)
    assert quiet.low
    assert quiet.high
    assert loud.low is None or loud.low < quiet.low
    assert loud.high is None or loud.high > quiet.high


def test_one_replicate_gives_a_number_without_an_interval():
    found = equivalent(0.25, CURVE[:, :1], spread=0)
    assert found.images == pytest.approx(40 * 2**0.5)
    assert not found.bounded
    assert found.low is found.high
    assert found.low is None


def test_a_curve_that_falls_is_made_level():
    weights, _ = isotonic(np.array(COUNTS, float), np.array([0.1, 0.3, 0.2, 0.4]), np.array([20.0, 40.0, 80.0, 160.0]))
    assert weights @ [0.1, 0.3, 0.2, 0.4] == pytest.approx([0.1, 0.25, 0.25, 0.4])
    curve = CURVE.copy()
    curve[1:3] = curve[[2, 1]]
    assert equivalent(0.25, curve).images == pytest.approx(40 * 2**0.5, rel=0.01)


def test_replicates_with_a_failed_cell_are_left_out():
    curve = np.column_stack([CURVE, [0.9, np.nan, 0.9, 0.9]])
    generated = np.array([0.251, 0.249, 0.25, 0.9])
    noise = 1e-4 * np.random.default_rng(0).normal(size=50)
    found = equivalent_images(COUNTS, curve, curve[..., None] + noise, generated, generated[:, None] + noise, 100)
    assert found == equivalent(0.25)
    with pytest.raises(ValueError, match="no replicate"):
        equivalent(0.25, CURVE * np.nan)


@pytest.mark.parametrize("counts", [(20,), (20, 20, 80, 160), (0, 40, 80, 160), (20, 40, 80)])
def test_counts_that_are_no_curve_are_refused(counts):
    with pytest.raises(ValueError, match=r"counts|shapes"):
        equivalent(0.25, counts=counts)


# ------------------------------------------------------------------------------------------------------------- coverage


def test_simulated_detectors_have_coco_ap():
    """The simulation's AP, whose scores have few levels, is near the AP of `summarize`."""
    rng = np.random.default_rng(1)
    photos = draw_photos(100, rng)
    for ap in (0.2, 0.5):
        found = detect(photos, skill_of(ap), rng)
        hit = np.zeros((4, 10, len(found.iou)), np.bool_)
        hit[0] = found.iou >= IOUS[:, None]
        counted = np.zeros((4, len(photos.image)), np.bool_)
        counted[0] = True
        order = np.argsort(found.image, kind="stable")
        matches = Matches(
            images=100,
            image=found.image[order],
            label=np.zeros_like(order),
            score=-found.level[order].astype(np.float64),
            rank=np.zeros_like(order),
            hit=hit[..., order],
            ignored=np.zeros_like(hit),
            truth_image=photos.image,
            truth_label=np.zeros_like(photos.image),
            truth_counts=counted,
        )
        assert average_precision(photos, found, np.ones((1, 100), np.float32))[0] == pytest.approx(summarize(matches, 1)["AP"], abs=0.02)


def test_intervals_contain_the_truth_of_simulated_detectors_and_replaces_is_rarely_wrong():
    """The full table is made by `tests/performance/simulate_evidence.py`."""
    rows = [Row(0.45), Row(0.40, 0.01, 0.01), Row(0.40, 0.01, 0.01), Row(0.40, 0.01, 0.01)]
    rng = np.random.default_rng(3)
    covered, wrong, wrong_of_any = [], [], []
    for _ in range(100):
        values, resampled = simulate(rows, 0.02, 3, 80, 100, rng)
        found = differences(values, resampled, 0, 80)[1:]
        covered += [each.interval[0] <= -0.05 <= each.interval[1] for each in found if each.interval]
        wrong += [judge(each).word == "replaces" for each in found]
        wrong_of_any.append(any(each.word == "replaces" for each in judge_all(found)))
    assert len(covered) == 300
    # The bounds are four standard errors from 0.95 and 0.05, by 100 independent repetitions.
    assert 0.86 < np.mean(covered) <= 1
    assert np.mean(wrong) < 0.13
    assert np.mean(wrong_of_any) < 0.13
