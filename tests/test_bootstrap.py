import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthbench.metrics
from synthbench.contract.types import Boxes
from synthbench.metrics import evaluate, match, summarize
from synthbench.metrics.bootstrap import draws, resample


def scene(rng, *, categories, images, levels, crowds) -> tuple[list[Boxes], list[Boxes]]:
    """Small boxes on a coarse grid, so that overlaps tie, with `levels` different scores, so that these tie as well."""
    truth, predictions = [], []
    for _ in range(images):
        many, guesses = rng.integers(0, 6), rng.integers(0, 12)
        corners = rng.integers(0, 6, (many, 2)) * 8.0
        real = np.hstack([corners, corners + rng.integers(1, 6, (many, 2)) * 8])
        truth.append(Boxes.of(real, rng.integers(categories, size=many), crowd=rng.random(many) < crowds))
        loose = rng.integers(0, 6, (guesses, 2)) * 8.0
        found, labels = np.hstack([loose, loose + rng.integers(1, 6, (guesses, 2)) * 8]), rng.integers(categories, size=guesses)
        if many:
            chosen, near = rng.integers(many, size=guesses), rng.random(guesses) < 0.7
            found[near] = (real[chosen] + rng.integers(-1, 2, (guesses, 4)))[near]
            labels[near] = truth[-1].labels[chosen][near]
        predictions.append(Boxes.of(found, labels, rng.integers(1, levels + 1, guesses) / levels))
    return truth, predictions


def again(truth, predictions, categories, weights):
    """AP of the images repeated in place, matched and summarised again; NaN if no true box counts."""
    numbers = np.repeat(np.arange(len(truth)), weights)
    ap = evaluate([truth[number] for number in numbers], [predictions[number] for number in numbers], categories)["AP"]
    return np.nan if ap is None else ap


@pytest.mark.parametrize("seed", range(120))
def test_weights_score_as_repeated_images(seed) -> None:
    rng = np.random.default_rng(seed)
    categories, images, levels = int(rng.integers(1, 5)), int(rng.integers(1, 9)), int(rng.choice([1, 2, 4, 1000]))
    truth, predictions = scene(rng, categories=categories, images=images, levels=levels, crowds=rng.choice([0, 0.3]))
    other = [boxes.keep(rng.permutation(len(boxes))[: rng.integers(len(boxes) + 1)]) for boxes in predictions]
    weights = np.vstack([draws(images, 5, seed), rng.integers(0, 5, (2, images)), np.zeros((1, images), int)])
    cells = [predictions, other]
    expected = [[again(truth, cell, categories, row) for row in weights] for cell in cells]
    ours = resample([match(truth, cell) for cell in cells], categories, weights)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


def test_copies_of_an_image_repeat_the_sequence_of_its_tied_detections() -> None:
    # A hit and a miss of one score: drawn twice, the order is hit, miss, hit, miss, and precision at full recall is 2 / 3.
    truth = [Boxes.of([[0, 0, 10, 10]])]
    predictions = [Boxes.of([[0, 0, 10, 10], [50, 50, 60, 60]], scores=[0.5, 0.5])]
    twice = resample([match(truth, predictions)], 1, np.array([[2]]))
    assert twice[0, 0] == pytest.approx(again(truth, predictions, 1, [2]), abs=1e-12)
    assert twice[0, 0] == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_unit_weights_give_the_ap_of_summarize(seed) -> None:
    rng = np.random.default_rng([2, seed])
    matches = match(*scene(rng, categories=3, images=60, levels=int(rng.choice([3, 10000])), crowds=0.2))
    ours = resample([matches], 3, np.ones((1, 60), np.int64))
    assert ours[0, 0] == pytest.approx(summarize(matches, 3)["AP"], rel=0, abs=1e-12)


def test_more_resamples_than_lanes_and_every_recall_threshold() -> None:
    # Numbers of true boxes for which recalls such as 7 / 20 fall on a threshold, but for rounding.
    rng = np.random.default_rng(3)
    truth, predictions = scene(rng, categories=1, images=20, levels=30, crowds=0.0)
    weights = draws(20, 150, 1)
    expected = [again(truth, predictions, 1, row) for row in weights]
    np.testing.assert_allclose(resample([match(truth, predictions)], 1, weights)[0], expected, rtol=0, atol=1e-9)


def test_a_category_without_true_boxes_in_a_resample_is_left_out() -> None:
    truth = [Boxes.of([[0, 0, 10, 10]], [0]), Boxes.of([[0, 0, 10, 10]], [1]), Boxes.none()]
    predictions = [truth[0], Boxes.none(), Boxes.of([[0, 0, 9, 9]], [1], [0.5])]
    ours = resample([match(truth, predictions)], 3, np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0], [0, 0, 3]]))
    np.testing.assert_allclose(ours, [[1, 0.5, 0, np.nan]])


def test_wrong_weights_are_refused() -> None:
    matches = match([Boxes.of([[0, 0, 9, 9]])], [Boxes.of([[0, 0, 9, 9]])])
    for weights, message in (
        (np.ones((1, 2), int), "cell 0 has 1 images, the weights are of 2"),
        (np.array([[-1]]), "a weight is -1"),
        (np.ones((1, 1)), "weights should be integers"),
        (np.ones(1, int), "weights should be integers"),
        (np.array([[2**40]]), "from 0 to 2147483647"),
    ):
        with pytest.raises(ValueError, match=message):
            resample([matches], 1, weights)  # type: ignore[arg-type]
    two = match([Boxes.of([[0, 0, 9, 9]] * 2)], [Boxes.of([[0, 0, 9, 9]])])
    with pytest.raises(ValueError, match="a resample has 4e\\+09 boxes"):
        resample([two], 1, np.array([[2_000_000_000]]))
    assert resample([], 1, np.ones((3, 1), int)).shape == (0, 3)
    assert resample([matches], 1, np.ones((0, 1), int)).shape == (1, 0)


def test_draws_by_image() -> None:
    weights = draws(40, 200, 7)
    assert weights.shape == (200, 40)
    assert (weights.sum(1) == 40).all()
    assert len({row.tobytes() for row in weights}) == 200
    # The number of times an image is drawn is binomial (40, 1 / 40): mean 1, variance 0.975.
    assert weights.mean(0) == pytest.approx(np.ones(40), abs=0.4)
    assert weights.var() == pytest.approx(0.975, abs=0.1)
    assert np.array_equal(draws(40, 20, 7), weights[:20])
    assert not np.array_equal(draws(40, 20, 8), weights[:20])
    assert draws(0, 3, 0).shape == (3, 0)


def test_draws_by_group_keep_the_images_of_a_group_together() -> None:
    rows = np.array(["b", "a", "b", "c", "a", "b"])
    weights = draws(6, 100, 1, rows)
    for name in "abc":
        assert (weights[:, rows == name] == weights[:, rows == name][:, :1]).all()
    assert (weights[:, [1, 0, 3]].sum(1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5
    with pytest.raises(ValueError, match=r"groups \(2,\) for 3 images"):
        draws(3, 1, 0, ["a", "b"])


def test_numba_is_imported_by_resample_alone() -> None:
    code = "import sys, synthbench.metrics, synthbench.metrics.bootstrap, synthbench.cli; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SCRIPT = """
import sys
import numpy as np
from synthbench.contract.types import Boxes
from synthbench.metrics import match
from synthbench.metrics.bootstrap import resample
assert sys.argv[1] in resample.__code__.co_filename
one = [Boxes.of([[0, 0, 9, 9]])]
print(resample([match(one, one)], 1, np.array([[2]]))[0, 0])
"""


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    shutil.copytree(
        Path(synthbench.metrics.__file__).parents[1], tmp_path / "code" / "synthbench", ignore=shutil.ignore_patterns("__pycache__")
    )
    folders = [tmp_path / "code", *(path for path in (tmp_path / "code").rglob("*") if path.is_dir())]
    home = tmp_path / "home"
    home.mkdir()
    for folder in [*folders, home]:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"] if os.geteuid() == 0 else []
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "code"), "HOME": str(home)}
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        environment.pop(name, None)
    command = [*unprivileged, sys.executable, "-c", SCRIPT, str(tmp_path)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) == pytest.approx(1)
        assert not list(tmp_path.rglob("*.nbi"))
    finally:
        for folder in [*folders, home]:
            folder.chmod(stat.S_IRWXU)
