import dataclasses
import zipfile

import numpy as np
import pytest
from synthbench.contract.types import Boxes
from synthbench.metrics import match
from synthbench.metrics.bootstrap import resample
from synthbench.storage.matches import read_matches, write_matches


def scene(rng, images, most, labels) -> tuple[list[Boxes], list[Boxes]]:
    sides = []
    for _ in range(2):
        counts = rng.integers(0, most, images)
        corners = [rng.uniform(0, 60, (count, 2)) for count in counts]
        sides.append(
            [
                Boxes.of(np.hstack([low, low + rng.uniform(5, 60, low.shape)]), rng.integers(labels, size=len(low)), rng.random(len(low)))
                for low in corners
            ]
        )
    truth = [Boxes.of(boxes.xyxy, boxes.labels, crowd=rng.random(len(boxes)) < 0.1) for boxes in sides[0]]
    return truth, sides[1]


@pytest.mark.parametrize(("images", "most", "labels"), [(0, 1, 1), (3, 1, 1), (1, 2, 1), (9, 30, 2), (300, 5, 400), (2, 300, 1)])
def test_matches_are_read_as_they_were_written(tmp_path, images, most, labels) -> None:
    matches = match(*scene(np.random.default_rng(images), images, most, labels))
    write_matches(tmp_path / "matches.npz", matches)
    again = read_matches(tmp_path / "matches.npz")
    for field in dataclasses.fields(matches):
        one, other = getattr(matches, field.name), getattr(again, field.name)
        assert np.array_equal(one, other), field.name
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None), field.name


def test_ap_of_a_weighting_needs_the_file_alone(tmp_path) -> None:
    rng = np.random.default_rng(1)
    matches = match(*scene(rng, 40, 12, 3))
    write_matches(tmp_path / "matches.npz", matches)
    weights = rng.integers(0, 4, (5, 40))
    assert np.array_equal(resample([read_matches(tmp_path / "matches.npz")], 3, weights), resample([matches], 3, weights))


def test_the_file_is_compact_and_the_same_each_time(tmp_path) -> None:
    matches = match(*scene(np.random.default_rng(2), 100, 150, 1))
    write_matches(tmp_path / "one.npz", matches)
    write_matches(tmp_path / "two.npz", matches)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    # A score of 8 bytes, and 80 flags of a bit, which are compressed.
    assert (tmp_path / "one.npz").stat().st_size < 18 * len(matches.image)
    with zipfile.ZipFile(tmp_path / "one.npz") as file:
        assert {name: file.getinfo(name).file_size - 128 for name in ("hit.npy", "label.npy")} == {
            "hit.npy": 40 * -(-len(matches.image) // 8),
            "label.npy": len(matches.image),
        }


def test_a_file_of_another_version_is_refused(tmp_path) -> None:
    write_matches(tmp_path / "matches.npz", match([Boxes.none()], [Boxes.none()]))
    with np.load(tmp_path / "matches.npz") as arrays:
        np.savez(tmp_path / "later.npz", **(dict(arrays) | {"version": np.uint8(2)}))
    with pytest.raises(ValueError, match=r"later\.npz is of version 2"):
        read_matches(tmp_path / "later.npz")
