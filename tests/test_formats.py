"""Image files and COCO folders, there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from synthbench.contract.images import read_header, read_image, write_image
from synthbench.contract.types import Boxes, ImageSet, Picture, Sample
from synthbench.errors import SynthbenchError
from synthbench.storage.coco import ANNOTATIONS, annotations_of, read_set, write_annotations, write_set

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_pixels_survive_a_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", NOISE)
    assert (read_image(tmp_path / "a.png") == NOISE).all()
    wrong: Any
    for wrong in (NOISE.astype(np.float32), NOISE[..., 0], NOISE[..., :2]):
        with pytest.raises(ValueError, match="uint8"):
            write_image(tmp_path / "b.png", wrong)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep{suffix}"
    ramp = np.linspace(0, 65535, 600).reshape(20, 30)
    Image.fromarray(ramp.astype(np.uint16)).save(path)
    assert np.abs(read_image(path)[..., 0] - ramp / 257).max() <= 1
    assert not read_header(path).plain


def test_eight_bits_in_a_sixteen_bit_file_are_left_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(NOISE[..., 0].astype(np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png")[..., 1] == NOISE[..., 0]).all()


def test_numbers_beyond_sixteen_bits_do_not_wrap(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 70000], [-5, 65535]], np.int32)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif")[..., 0].tolist() == [[0, 255], [0, 255]]


def test_palettes_alpha_grey_and_cmyk_are_read_as_rgb(tmp_path: Path) -> None:
    for mode, suffix in (("P", ".png"), ("RGBA", ".png"), ("LA", ".png"), ("1", ".png"), ("L", ".jpg"), ("CMYK", ".jpg")):
        path = tmp_path / f"{mode}{suffix}"
        Image.new("RGB", (30, 20), (255, 255, 255)).convert(mode).save(path)
        image = read_image(path)
        assert (image.shape, image.dtype) == ((20, 30, 3), np.dtype(np.uint8))
        assert image.min() > 250
        assert not read_header(path).plain


def test_floating_point_pixels_are_refused_instead_of_turning_black(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(SynthbenchError, match=r"a\.tif: .* floating-point"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_turned_images_are_read_upright(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(NOISE).save(path, exif=exif)
    assert read_image(path).shape == (30, 20, 3)
    header = read_header(path)
    assert (header.width, header.height, header.turn, header.upright, header.plain) == (30, 20, 6, (20, 30), True)


def test_an_unknown_turn_is_none(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg").turn == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".gif", ".bmp", ".avif"])
def test_files_that_do_not_open_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    Image.fromarray(NOISE).save(path)
    whole = path.read_bytes()
    for broken in (b"", b"not an image", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(SynthbenchError, match="not a readable image"):
            read_image(path)
    with pytest.raises(SynthbenchError, match="no such image"):
        read_header(tmp_path / "missing.png")
    with pytest.raises(SynthbenchError, match="not a readable image"):
        read_image(tmp_path)


def test_a_program_that_passes_for_a_photograph_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    for reader in (read_header, read_image):
        with pytest.raises(SynthbenchError, match="not a readable image"):
            reader(tmp_path / "a.jpg")


def samples(tmp_path: Path) -> list[Sample]:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(tmp_path / "photo.JPG", exif=exif)
    return [
        Sample(
            NOISE, Boxes.of([[0.1, 2.0, 3.7, 4.0], [5.0, 6.0, 30.0, 20.0]], [1, 0], [0.3, 1], [False, True]), {"prompt": "Äpfel", "step": 3}
        ),
        Sample(tmp_path / "photo.JPG", Boxes.none()),
        Sample(NOISE[:5, :7], None),
    ]


def check(images: ImageSet) -> None:
    """That the set is the one of `samples`."""
    assert images.categories == ("leaf", "äpple")
    assert [(picture.width, picture.height) for picture in images] == [(30, 20), (20, 30), (7, 5)]
    first, second, third = (picture.boxes for picture in images)
    assert first is not None
    assert np.array_equal(first.xyxy, np.array([[0.1, 2.0, 3.7, 4.0], [5.0, 6.0, 30.0, 20.0]]))
    assert (first.labels.tolist(), first.crowd.tolist()) == ([1, 0], [False, True])
    assert first.scores.tolist() == [0.3, 1]
    assert second is not None
    assert len(second) == 0
    assert third is None
    for picture in images:
        assert picture.pixels().shape == (picture.height, picture.width, 3)
    assert (images[0].pixels() == NOISE).all()


def test_a_set_survives_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    written = write_set(folder, ("leaf", "äpple"), iter(samples(tmp_path)))
    check(written)
    check(read_set(folder))
    assert [picture.path.name for picture in written] == ["000000.png", "000001.jpg", "000002.png"]
    assert written[1].path.read_bytes() == (tmp_path / "photo.JPG").read_bytes()
    held = json.loads((folder / ANNOTATIONS).read_text())
    assert held["images"][0]["about"] == {"prompt": "Äpfel", "step": 3}


def test_a_set_can_be_labelled_anew(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    written = write_set(folder, ("leaf",), [Sample(NOISE), Sample(NOISE)])
    write_annotations(folder, written.with_boxes([Boxes.of([[1, 2, 3, 4]]), Boxes.none()]))
    assert [len(picture.boxes) for picture in read_set(folder) if picture.boxes is not None] == [1, 0]


def test_an_empty_set_survives_too(tmp_path: Path) -> None:
    write_set(tmp_path, ("leaf",), [])
    assert read_set(tmp_path) == ImageSet(("leaf",), ())


def test_an_image_that_does_not_open_is_not_stored(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.raises(SynthbenchError, match=r"broken\.png"):
        write_set(tmp_path / "set", ("leaf",), [Sample(tmp_path / "broken.png")])


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(2**-12, 8192, width=32)))
def test_coco_boxes_add_up_to_the_same_corners(corners: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    images = ImageSet(("leaf",), (Picture(Path("a.png"), 8192, 8192, Boxes.of(corners)),))
    rows = json.loads(json.dumps(annotations_of(images)))
    back = np.array([[x, y, x + width, y + height] for x, y, width, height in (row["bbox"] for row in rows)]).reshape(-1, 4)
    assert (back == corners).all()
    assert [row["id"] for row in rows] == list(range(1, len(corners) + 1))


def test_an_array_that_its_maker_uses_again_is_stored_as_it_was_yielded(tmp_path: Path) -> None:
    def reusing() -> Iterator[Sample]:
        pixels = np.zeros((200, 300, 3), np.uint8)
        for number in range(40):
            pixels[:] = number
            yield Sample(pixels)

    stored = write_set(tmp_path, ("apple",), reusing())
    assert [int(picture.pixels()[0, 0, 0]) for picture in stored] == [*range(40)]


def test_an_image_that_cannot_be_written_ends_the_stage(tmp_path: Path) -> None:
    (tmp_path / "images/000001.png").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_set(tmp_path, ("apple",), (Sample(np.zeros((8, 8, 3), np.uint8)) for _ in range(3)))
