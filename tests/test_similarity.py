"""Near-duplicates are found and others are not, distances are those of their definitions, and a suite acts on both."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import synthbench
from PIL import Image, ImageEnhance, ImageOps
from synthbench.builtin import Review
from synthbench.contract.types import Boxes, ImageSet, Picture, Run
from synthbench.errors import SynthbenchError
from synthbench.planning.plan import Plan
from synthbench.registry import installed
from synthbench.results.describe import describe_suite
from synthbench.results.model import Cell, CellKeys, Comparison, Draw
from synthbench.results.similarity import correlations, spearman
from synthbench.results.starting_weights import trained_on
from synthbench.similarity import (
    box_distances,
    density_and_coverage,
    farthest_first,
    fingerprint,
    frechet,
    kernel,
    near_duplicates,
    wasserstein,
)
from synthbench.suite.reader import read_suite
from synthbench_fakes import Threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench.results.model import Results

APPLES = Path(__file__).parents[2] / "shared" / "data" / "apples_bbch81"
Copy = Callable[[Image.Image], Image.Image]


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture with structure at all scales, as photographs have."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((size[1], size[0], 3))
    for cells, strength in ((4, 60), (9, 40), (30, 25)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        pixels += (np.asarray(coarse) / 255 - 0.5) * 2 * strength
    return Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def trimmed(image: Image.Image) -> Image.Image:
    """Without 5 % of its width and height, half on either side."""
    across, down = (round(side * 0.025) for side in image.size)
    return image.crop((across, down, image.width - across, image.height - down))


COPIES: dict[str, Copy] = {
    "jpeg": lambda image: jpeg(image, 30),
    "resized": lambda image: image.resize((77, 51)),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "trimmed": trimmed,
    "mirrored": ImageOps.mirror,
    "mirrored, trimmed and saved again": lambda image: jpeg(trimmed(ImageOps.mirror(image)), 50),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_planted_copy_is_found_and_nothing_else(how: str) -> None:
    first = [fingerprint(np.asarray(scene(seed))) for seed in range(20)]
    second = [scene(seed) for seed in range(100, 110)]
    second[3] = COPIES[how](scene(7))
    (pair,) = near_duplicates(first, [fingerprint(np.asarray(each)) for each in second])
    assert (pair.first, pair.second, pair.exact, pair.mirrored) == (7, 3, False, how.startswith("mirrored"))


def test_an_exact_copy_is_told_from_one_that_looks_the_same() -> None:
    first, close = np.asarray(scene(0)), np.asarray(scene(0)).copy()
    close[0, 0, 0] ^= 1
    exact, alike = near_duplicates([fingerprint(first)], [fingerprint(first.copy()), fingerprint(close)])
    assert exact.exact
    assert not alike.exact
    assert (exact.hash_distance, exact.correlation) == (0, 1)


def test_images_of_one_colour_are_duplicates_only_if_they_are_equal() -> None:
    grey, black = np.full((40, 60, 3), 99, np.uint8), np.zeros((40, 60, 3), np.uint8)
    pairs = near_duplicates([fingerprint(grey)], [fingerprint(black), fingerprint(grey)])
    assert [(pair.second, pair.exact) for pair in pairs] == [(1, True)]


def test_a_collision_of_hashes_alone_is_no_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthbench.similarity.duplicates.HASH_DISTANCE", 64)
    assert not near_duplicates([fingerprint(np.asarray(scene(0)))], [fingerprint(np.asarray(scene(1)))])


@pytest.mark.skipif(not APPLES.exists(), reason="the photographs are not here")
def test_on_photographs_copies_are_found_and_different_trees_are_not() -> None:
    photographs = [Image.open(path).convert("RGB") for path in sorted((APPLES / "images").iterdir())[:40]]
    first = [fingerprint(np.asarray(each)) for each in photographs]
    assert len(near_duplicates(first[:20], first[20:])) == 0
    for how, copy in COPIES.items():
        pairs = near_duplicates(first, [fingerprint(np.asarray(copy(each))) for each in photographs[:10]])
        assert [(pair.first, pair.mirrored) for pair in pairs] == [(number, how.startswith("mirrored")) for number in range(10)], how


def features(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, 6)) * scale + shift


def test_the_frechet_distance_of_known_gaussians() -> None:
    points = features(50, 0)
    assert frechet(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet(points, points + 3) == pytest.approx(6 * 9)
    # Covariances C and 4 C commute: tr(C + 4 C - 2 * 2 C) = tr C, and so do the means' part: |m|^2.
    centred = points - points.mean(0)
    assert frechet(centred, 2 * centred) == pytest.approx(np.trace(np.cov(points, rowvar=False)))


@pytest.mark.parametrize("count", [4, 40])  # fewer images than dimensions, and more
def test_the_frechet_distance_is_that_of_the_matrices(count: int) -> None:
    from scipy.linalg import sqrtm

    one, other = features(count, 1), features(count + 3, 2, 0.5, 1.5)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    wanted = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet(one, other) == pytest.approx(wanted, rel=1e-4)


def test_the_kernel_distance_is_the_mean_over_pairs() -> None:
    one, other = features(7, 3), features(5, 4, 0.3)

    def mean(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        pairs = [(i, j) for i in range(len(first)) for j in range(len(second)) if first is not second or i != j]
        return float(np.mean([(first[i] @ second[j] / 6 + 1) ** 3 for i, j in pairs]))

    assert kernel(one, other) == pytest.approx(mean(one, one) + mean(other, other) - 2 * mean(one, other))


def test_the_kernel_distance_of_samples_of_one_distribution_has_no_bias_and_frechets_has() -> None:
    pairs = [(features(10, 2 * seed), features(10, 2 * seed + 1)) for seed in range(300)]
    kernels = [kernel(*pair) for pair in pairs]
    assert abs(np.mean(kernels)) < 3 * np.std(kernels) / np.sqrt(len(kernels))
    assert np.mean([frechet(*pair) for pair in pairs]) > 1


def test_density_and_coverage_count_the_balls_that_images_are_in() -> None:
    real = np.array([[0.0, 0], [1, 0], [0, 1], [10, 10], [11, 10]])
    generated = np.array([[0.1, 0], [0.2, 0.1], [100, 100]])
    radii = [sorted(np.linalg.norm(real - each, axis=1))[2] for each in real]
    inside = [[np.linalg.norm(one - each) <= radius for each in generated] for one, radius in zip(real, radii, strict=True)]
    density, coverage = density_and_coverage(real, generated, neighbours=2)
    assert density == pytest.approx(np.sum(inside) / (2 * 3))
    assert coverage == pytest.approx(np.mean(np.any(inside, 1)))
    assert density_and_coverage(real, real)[1] == 1
    assert density_and_coverage(real, real + 1e6) == (0, 0)


def test_the_wasserstein_distance_is_how_far_numbers_must_move() -> None:
    assert wasserstein([0, 1, 2], [0.5, 1.5, 2.5]) == pytest.approx(0.5)
    assert wasserstein([0, 0, 0, 4], [0, 0]) == pytest.approx(1)
    assert wasserstein([3], [3, 3]) == 0


def test_box_distances_are_shares_of_the_image() -> None:
    def picture(width: int, height: int, *boxes: tuple[float, float, float, float]) -> Picture:
        return Picture(Path("none"), width, height, Boxes.of([*boxes]))

    small = [picture(100, 100, (0, 0, 10, 10)), picture(100, 100, (0, 0, 10, 10), (0, 0, 10, 10))]
    large = [picture(200, 400, (0, 0, 20, 40)), Picture(Path("none"), 9, 9)]
    distances = box_distances(small, large)
    assert distances == pytest.approx({"box_count": 0.5, "box_size": 0, "box_x": 0, "box_y": 0}, abs=1e-6)
    moved = box_distances(small, [picture(100, 100, (50, 20, 70, 40))])
    assert (moved["box_size"], moved["box_x"], moved["box_y"]) == pytest.approx((0.1, 0.55, 0.25), abs=1e-6)
    assert box_distances(small, [picture(10, 10)]) == {"box_count": 1.5}
    assert box_distances(small, [Picture(Path("none"), 9, 9)]) == {}


def test_rank_correlation_counts_equal_values_with_their_mean_rank() -> None:
    from scipy.stats import spearmanr

    pairs = [(1.0, 5.0), (2.0, 5.0), (2.0, 3.0), (4.0, 1.0), (9.0, 2.0)]
    assert spearman(pairs) == pytest.approx(spearmanr(*zip(*pairs, strict=True)).statistic)
    assert spearman([(1.0, 2.0), (1.0, 3.0)]) is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight training and four test images of red squares, each with its box; no two alike."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    for split, numbers in (("train", range(8)), ("test", range(8, 12))):
        rng, images, annotations = np.random.default_rng(0), [], []
        for number in numbers:
            image = scene(number, (64, 64))
            x, y = (int(each) for each in rng.integers(2, 40, 2))
            image.paste((250, 10, 10), (x, y, x + 16, y + 16))
            name = f"photo_{number}.png"
            image.save(tmp_path / "data" / "images" / name)
            images.append({"id": number + 1, "file_name": name, "width": 64, "height": 64})
            annotations.append({"id": number + 1, "image_id": number + 1, "category_id": 1, "bbox": [x, y, 16, 16], "iscrowd": 0})
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
        (tmp_path / "data" / f"{split}.json").write_text(json.dumps(content))
    return tmp_path


def run(folder: Path, **changes: Any) -> Results:
    suite = {
        "name": "squares",
        "references": 3,
        "data": {"use": "coco", "path": str(folder / "data")},
        "detectors": [{"use": "fake-threshold", "name": "threshold"}],
        **changes,
    }
    alone = {"use": "repeat"} not in changes.get("generators", [])  # the others are of one distribution
    return synthbench.run(suite, store=folder / "store", out=None, device="cpu", workers=1, in_process=alone)


def test_a_test_image_that_was_trained_on_fails_the_suite_before_anything_is_trained(folder: Path) -> None:
    images = folder / "data" / "images"
    assert not run(folder).failures  # what is in the store does not make up for the check
    jpeg(ImageOps.mirror(Image.open(images / "photo_2.png")), 90).save(images / "photo_9.png")
    results = run(folder)
    (failure,) = results.failures
    assert failure.label == "compare training and test images"
    assert "1 of 4 test images look the same as a training image: photo_9.png (test) and photo_2.png (train); " in failure.error
    assert failure.error.endswith("remove them from either set, or set allow_duplicates = true")
    assert {stage.kind for stage in results.stages if stage.state == "done"} == {"data"}
    assert all(cell.failed == failure.key and not cell.metrics for cell in results.cells)
    assert results.similarity is not None
    assert results.similarity.splits.pairs is None

    allowed = run(folder, allow_duplicates=True)
    assert not allowed.failures
    assert allowed.similarity is not None
    splits = allowed.similarity.splits
    assert (splits.allowed, splits.train_images, splits.test_images, splits.pairs, splits.exact, splits.mirrored) == (True, 8, 4, 1, 0, 1)
    (pair,) = splits.nearest
    assert (pair.first, pair.second, pair.mirrored) == ("photo_2.png", "photo_9.png", True)
    assert any("photo_9.png (test) and photo_2.png (train)" in note for stage in allowed.stages for note in stage.notes)

    again = run(folder)  # all of it is in the store now, and still does not count
    assert [each.label for each in again.failures] == [failure.label]
    assert not any(cell.metrics for cell in again.cells)


def test_a_test_file_that_is_a_training_file_is_named(folder: Path) -> None:
    images = folder / "data" / "images"
    (images / "photo_9.png").write_bytes((images / "photo_2.png").read_bytes())
    results = run(folder)
    assert "photo_9.png (test) and photo_2.png (train)" in results.failures[0].error


def test_generated_images_that_copy_a_reference_are_counted_and_named(folder: Path) -> None:
    generators = [{"use": "repeat"}, {"use": "fake-paint", "name": "paint"}]
    results = run(folder, images=5, generators=generators, annotators=[{"use": "native"}], baselines=["references"])
    assert not results.failures
    assert results.similarity is not None
    repeated, painted = results.similarity.generated
    assert (repeated.training_set, repeated.images, repeated.references, repeated.pairs, repeated.exact) == ("repeat x native", 5, 3, 5, 5)
    assert (painted.training_set, painted.pairs, painted.nearest) == ("paint x native", 0, [])
    store = folder / "store"
    for pair in repeated.nearest:
        first, second = (
            (store / kind / key[:2] / key / name).read_bytes()
            for kind, key, name in (("select", repeated.references_key, pair.first), ("sample", repeated.images_key, pair.second))
        )
        assert first == second
    assert {*repeated.distances} == {"box_count", "box_size", "box_x", "box_y"}
    assert repeated.distances["box_count"] == 0
    assert painted.distances["box_size"] > repeated.distances["box_size"]
    assert {(each.detector, each.sets, each.value) for each in results.similarity.correlations} == {("threshold", 2, None)}


def colours(self: Threshold, images: ImageSet, run: Run) -> Iterator[NDArray[np.float32]]:
    """The mean colour of each image, and of its left half."""
    for picture in images:
        assert picture.boxes is None
        pixels = picture.pixels()
        yield np.concatenate([pixels.mean((0, 1)), pixels[:, : picture.width // 2].mean((0, 1))]).astype(np.float32)


def test_distances_of_images_are_named_after_the_feature_space_of_a_detector(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Threshold, "features", colours, raising=False)
    monkeypatch.setattr(Threshold, "feature_space", "colours", raising=False)
    generators = [{"use": "fake-paint", "name": "paint"}, {"use": "fake-paint", "name": "dim", "shift": -100}]
    detectors = [{"use": "fake-threshold", "name": name, "margin": margin} for name, margin in (("one", 0.0), ("two", 9.0))]
    changes: dict[str, Any] = {"generators": generators, "annotators": [{"use": "native"}], "detectors": detectors, "baselines": ["real"]}
    results = run(folder, images=5, **changes)
    assert not results.failures
    described = [stage for stage in results.stages if stage.kind == "features"]
    assert len(described) == len({stage.key for stage in described}) == 3  # real, and both generators; both detectors would do
    assert {stage.facts["dimensions"] for stage in described} == {6}
    assert results.similarity is not None
    painted, dim = results.similarity.generated
    names = {"colours: frechet", "colours: kernel", "colours: density", "colours: coverage"}
    assert {*painted.distances} == {*dim.distances} == {*names, "box_count", "box_size", "box_x", "box_y"}
    store = folder / "store"
    real, generated = (
        np.load(store / "features" / stage.key[:2] / stage.key / "features.npy") for stage in described if "dim" not in stage.label
    )
    if len(real) != 8:
        real, generated = generated, real
    assert (len(real), len(generated)) == (8, 5)
    assert painted.distances["colours: frechet"] == pytest.approx(frechet(real, generated))
    assert all(each.sets == 2 and each.value is None for each in results.similarity.correlations)


def test_a_suite_names_a_detector_that_describes_images(folder: Path) -> None:
    with pytest.raises(SynthbenchError, match="features: 'threshold' is no detector of this suite that describes images; and none"):
        run(folder, features="threshold")


@pytest.mark.parametrize(
    ("vectors", "error"),
    [
        ([[1.0, 2.0]], "yielded 1 of the 8 vectors"),
        ([[1.0, 2.0]] * 7 + [[1.0]], r"the features of image 7 have shape \(1,\), those of image 0 \(2,\)"),
        ([[1.0, 2.0]] * 7 + [[1.0, float("nan")]], "not a finite number"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, vectors: list[list[float]], error: str
) -> None:
    monkeypatch.setattr(Threshold, "features", lambda self, images, run: (np.array(each) for each in vectors), raising=False)
    monkeypatch.setattr(Threshold, "feature_space", "nothing", raising=False)
    results = run(folder, images=8, generators=[{"use": "fake-paint", "name": "paint"}], annotators=[{"use": "native"}])
    failures = {failure.label: failure.error for failure in results.failures}
    assert {*failures} == {"describe paint", "describe the real training images"}
    assert all(re.search(error, each) for each in failures.values())
    assert all(cell.metrics for cell in results.cells)


def test_correlations_are_over_sets_and_draws_and_need_five_of_them() -> None:
    def of(number: int, distance: float, scores: list[float]) -> tuple[Comparison, list[Cell]]:
        draw = Draw(references=number, generator=number)
        comparison = Comparison(
            training_set="gan", generator="gan", annotator="a", draw=draw, references_key="", images_key="", distances={"far": distance}
        )
        common: dict[str, Any] = {"training_set": "gan", "detector": "d", "draw": draw, "training": None}
        times: dict[str, Any] = {"train_seconds": 0.0, "predict_seconds": 0.0, "keys": CellKeys(train="", predict="", score="")}
        return comparison, [Cell(seed=seed, metrics={"AP": score}, **common, **times) for seed, score in enumerate(scores)]

    rows = [of(0, 1.0, [0.8, 0.6]), of(1, 2.0, [0.6]), of(2, 3.0, [0.5]), of(3, 4.0, [0.1, 0.9]), of(4, 9.0, [0.2])]
    comparisons, cells = [row[0] for row in rows], [cell for row in rows for cell in row[1]]
    (found,) = correlations(comparisons, cells)
    assert (found.distance, found.detector, found.sets) == ("far", "d", 5)
    assert found.value == pytest.approx(spearman([(1, 0.7), (2, 0.6), (3, 0.5), (4, 0.5), (9, 0.2)]))
    (few,) = correlations(comparisons[:4], cells)
    assert (few.sets, few.value) == (4, None)


def test_results_say_what_starting_weights_were_trained_on(tmp_path: Path) -> None:
    for name in ("known", "unknown"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    (tmp_path / "known.trained-on.txt").write_text("every orchard\x1b[1m of the world\n")
    detectors = [{"use": "fake-threshold", "name": name, "weights": str(tmp_path / name)} for name in ("known", "unknown")]
    suite = {"data": {"use": "fake-squares"}, "detectors": [*detectors, {"use": "fake-threshold", "name": "none"}]}
    described = describe_suite(synthbench.plan(suite, store=tmp_path / "store").suite)
    found = {entry.name: entry.trained_on for entry in described.detectors}
    assert found == {"known": {"weights": "every orchard\\x1b[1m of the world"}, "unknown": {"weights": ""}, "none": {}}


def test_a_plugin_says_what_its_own_weights_were_trained_on_and_a_broken_answer_loses_no_report() -> None:
    @dataclass(frozen=True)
    class Told:
        trained_on: ClassVar[dict[str, str]] = {"imagenet": "ImageNet\x1b[1m"}

    @dataclass(frozen=True)
    class Broken:
        @property
        def trained_on(self) -> dict[str, str]:
            raise OSError("no file")

    assert trained_on(Told()) == {"imagenet": "ImageNet\\x1b[1m"}
    assert trained_on(Broken()) == {"trained_on": "OSError: no file"}
    plugins = installed()
    (detector,) = read_suite({"data": {"use": "fake-squares"}, "detectors": [{"use": "fasterrcnn"}]}, plugins).detectors
    assert trained_on(detector.plugin) == {"imagenet": "ImageNet (the backbone)"}
    (detector,) = read_suite({"data": {"use": "fake-squares"}, "detectors": [{"use": "fasterrcnn", "imagenet": False}]}, plugins).detectors
    assert not trained_on(detector.plugin)


def test_the_check_is_in_no_other_key_and_comes_before_what_reads_the_data(plan_of: Callable[..., Plan]) -> None:
    before, after = plan_of(), plan_of("allow_duplicates=true")
    assert {stage.key for stage in before.stages} ^ {stage.key for stage in after.stages} == {before.check.key, after.check.key}
    assert all(before.check in stage.needs for stage in before.stages if stage.kind == "select")
    for stage in before.stages:  # no true boxes of test images but for the core's scores
        if stage.kind == "compare":
            assert all(view.images.label != "select the test images" for views in stage.views.values() for view in views)
            assert not stage.reads


def radius(points: NDArray[np.float64], centres: list[int]) -> float:
    """The largest distance of a point to its nearest centre."""
    return float(np.linalg.norm(points[:, None] - points[centres], axis=2).min(1).max())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_images_chosen_for_variety_leave_none_farther_away_than_twice_what_is_possible(count: int) -> None:
    points = features(9, 5)
    best = min(radius(points, list(chosen)) for chosen in itertools.combinations(range(9), count))
    for first in range(9):
        chosen = farthest_first(points, count, first)
        assert len({*chosen}) == count
        assert chosen == farthest_first(points, 9, first)[:count]  # a larger choice has all of a smaller one
        assert radius(points, chosen) <= 2 * best


def test_equal_images_are_chosen_once_each() -> None:
    assert farthest_first(np.zeros((4, 2)), 4, 2) == [2, 0, 1, 3]
    with pytest.raises(ValueError, match="expected a number from 1 to 4, not 5"):
        farthest_first(np.zeros((4, 2)), 5, 0)


def test_references_are_chosen_for_variety_by_the_detector_that_describes_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Threshold, "features", colours, raising=False)
    monkeypatch.setattr(Threshold, "feature_space", "colours", raising=False)
    results = run(folder, replicates=2, reference_choice="varied")
    assert not results.failures
    assert results.suite.reference_choice == "varied"
    (described,) = [stage for stage in results.stages if stage.kind == "features"]
    store = folder / "store"
    vectors = np.load(store / "features" / described.key[:2] / described.key / "features.npy").astype(np.float64)
    expected = [{*farthest_first(vectors, 3, first)} for first in range(8)]
    photos = {(folder / "data" / "images" / f"photo_{number}.png").read_bytes(): number for number in range(8)}
    artifacts = [store / "select" / stage.key[:2] / stage.key for stage in results.stages if stage.label.startswith("select 3")]
    chosen = [{photos[file.read_bytes()] for file in artifact.rglob("*.png")} for artifact in artifacts]
    assert len(chosen) == 2
    assert all(each in expected for each in chosen)
    assert chosen[0] != chosen[1]  # replicates begin with another image


def test_a_review_rejects_images_that_look_unlike_the_references(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The painted images are about seven times as far from the nearest reference as the loneliest reference from its nearest."""

    def reviewed(factor: float) -> Results:
        review = {"use": "review", "annotator": "native", "feature_factor": factor, "count_factor": 9.0}
        changes: dict[str, Any] = {"generators": [{"use": "fake-paint"}], "annotators": [{"use": "native"}, review], "images": 6}
        return run(folder, baselines=["real"], **changes)

    with pytest.raises(SynthbenchError, match=r"annotators\.review: it compares features of images: add a detector that describes"):
        reviewed(3)
    with monkeypatch.context() as patch:
        patch.setattr(Review, "needs_features", property(lambda self: 1 / 0))
        with pytest.raises(SynthbenchError, match=r"annotators\.review: needs_features: ZeroDivisionError"):
            reviewed(3)
    monkeypatch.setattr(Threshold, "features", colours, raising=False)
    monkeypatch.setattr(Threshold, "feature_space", "colours", raising=False)
    far, near = reviewed(9), reviewed(3)
    assert not far.failures
    assert [each.generated[1].rejected for each in (far, near)] == [{}, {"unlike each reference": 6}]
    described = {stage.label for stage in far.stages if stage.kind == "features"}
    assert described == {f"describe {what}" for what in ("the real training images", "fake-paint", "references", "test")}
    assert "annotate test x review" in {stage.label for stage in far.stages}, "it is judged like others"


def test_without_such_a_detector_they_are_drawn_at_random_and_keys_are_what_they_were(folder: Path) -> None:
    with pytest.raises(
        SynthbenchError, match="reference_choice: 'varied' compares features of images: add a detector that describes images"
    ):
        run(folder, reference_choice="varied")
    suite = {"data": {"use": "coco", "path": str(folder / "data")}, "detectors": [{"use": "fake-threshold"}], "references": 3}
    plans = [synthbench.plan({**suite, **more}, store=folder / "store") for more in ({}, {"reference_choice": "random"})]
    (recipe,) = {json.dumps(stage.recipe) for plan in plans for stage in plan.stages if stage.label == "select 3 references"}
    assert "similarity" not in recipe
