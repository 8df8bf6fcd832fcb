"""The plain values that cross the border between core and plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthbench.contract.types import Boxes, ImageSet, Picture, SampleRequest, derive_seed


def images(count: int) -> ImageSet:
    return ImageSet(("apple",), tuple(Picture(Path(f"{number}.png"), 10, 10) for number in range(count)))


def names(given: ImageSet) -> list[str]:
    return [picture.path.stem for picture in given]


def test_boxes_fill_in_what_is_not_said() -> None:
    boxes = Boxes.of([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert (boxes.labels.tolist(), boxes.scores.tolist(), boxes.crowd.tolist()) == ([0, 0], [1, 1], [False, False])
    assert (boxes.xyxy.dtype, boxes.labels.dtype, boxes.scores.dtype) == (np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.float64))
    for none in (Boxes.none(), Boxes.of(np.zeros((0, 4))), Boxes.of([], [], [], [])):
        assert len(none) == 0
        assert none.xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([[1, 2, 3, 4]], [0, 1]), "1 boxes, 2 labels"),
        (([[1, 2, 3, 4]], None, []), "0 scores"),
        (([[1, 2, 3, 4]], None, None, [True, False]), "2 crowd flags"),
        (([[1, 2, 3, float("nan")]],), "not a finite number"),
        (([[1, 2, 3, float("inf")]],), "not a finite number"),
        (([[1, 2, 3, 4]], None, [float("nan")]), "not a finite number"),
        (([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]],), r"must be \(N, 4\), not \(2, 6\)"),
        (([[1, 5], [2, 6], [3, 7], [4, 8]],), r"must be \(N, 4\), not \(4, 2\)"),
        (([1, 2, 3],), r"must be \(N, 4\)"),
        ((1.0,), r"must be \(N, 4\)"),
    ],
)
def test_boxes_that_do_not_fit_together_are_refused(given: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Boxes.of(*given)  # type: ignore[arg-type]


def test_boxes_can_be_chosen_by_place_and_by_mask() -> None:
    boxes = Boxes.of([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], [5, 6, 7], [0.1, 0.2, 0.3], [True, False, False])
    assert boxes.keep([2, 0]).labels.tolist() == [7, 5]
    assert boxes.keep([True, False, True]).crowd.tolist() == [True, False]
    assert boxes.keep(boxes.scores > 0.15).xyxy[:, 2].tolist() == [2, 3]
    assert len(boxes.keep([])) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8192), st.integers(1, 8192))
def test_an_edge_of_the_image_stays_on_it(size: int, wanted: int) -> None:
    scaled = Boxes.of([[0, 0, size, size]]).scaled(wanted / size, wanted / size)
    assert scaled.xyxy.tolist() == [[0, 0, wanted, wanted]]
    assert scaled.xyxy.dtype == np.float64


def test_a_set_is_a_sequence_that_keeps_its_categories() -> None:
    given = images(5)
    assert names(given[1:3]) == ["1", "2"]
    assert given[1:3].categories == ("apple",)
    assert names(given.subset([3, 0])) == ["3", "0"]
    assert given[-1].path == Path("4.png")
    labelled = given.with_boxes([Boxes.none()] * 5)
    assert all(picture.boxes is not None for picture in labelled)
    assert all(picture.boxes is None for picture in labelled.without_boxes())
    with pytest.raises(ValueError, match="shorter"):
        given.with_boxes([Boxes.none()] * 4)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.floats(0.001, 2), st.integers(0, 2**32 - 1))
def test_a_split_shares_nothing_and_loses_nothing(count: int, share: float, seed: int) -> None:
    rest, held = images(count).split(share, seed)
    assert sorted(names(rest) + names(held), key=int) == names(images(count))
    assert len(rest) >= 1
    assert len(held) == min(max(round(count * share), 1), count - 1)
    assert names(rest) == sorted(names(rest), key=int)
    assert images(count).split(share, seed) == (rest, held)


def test_a_split_depends_on_the_seed() -> None:
    assert len({tuple(names(images(30).split(0.2, seed)[1])) for seed in range(10)}) > 5


def test_a_split_with_nothing_to_hold_back() -> None:
    one, several = images(1), images(4)
    assert one.split(0.2, 0) == (one, one)
    assert several.split(0, 0) == (several, several[:0])


def test_seeds_come_from_their_parts_alone() -> None:
    assert derive_seed("fit", 0) == 174963434  # the same on every machine, or kept results would be made again
    assert len({derive_seed("fit", 0), derive_seed("fit", 1), derive_seed("sample", 0), derive_seed("fit", "0", "")}) == 4
    assert derive_seed("ab", "c") != derive_seed("a", "bc")
    assert all(0 <= derive_seed(number) < 2**32 for number in range(100))


def test_a_brief_counts_its_images() -> None:
    assert len(SampleRequest(5, 12, ("apple",))) == 7


def test_importing_the_contract_and_the_core_plugins_is_light() -> None:
    code = "import sys, synthbench, synthbench.builtin; print({'numpy', 'PIL', 'torch', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
