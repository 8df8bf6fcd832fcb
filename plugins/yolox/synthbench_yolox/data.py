"""Images in the form that YOLOX needs: BGR, 0 to 255, padded to a square on the right and at the bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from yolox.data import MosaicDetection, TrainTransform
from yolox.data.data_augment import preproc

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import ImageSet, Picture

    from synthbench_yolox import YOLOX

MIN_SIDE = 1.0  # pixels at `image_size`; YOLOX's own bound for boxes that it trains on
cv2.setNumThreads(0)  # OpenCV would use all cores, whatever `run.threads` is


def read(picture: Picture, image_size: int) -> NDArray[np.uint8]:
    """The picture, uint8 (H, W, 3), BGR, its longer side `image_size`."""
    scale = image_size / max(picture.width, picture.height)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    resized = cv2.resize(picture.pixels(), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized[:, :, ::-1], np.uint8)


def padded(image: NDArray[np.uint8], image_size: int) -> Tensor:
    """An image as `read` returns it, as float32 (3, image_size, image_size)."""
    return torch.from_numpy(preproc(image, (image_size, image_size))[0])


class Album:
    """The training set in memory, with the methods that YOLOX's `MosaicDetection` calls."""

    def __init__(self, pictures: Sequence[Picture], image_size: int) -> None:
        self.input_dim = (image_size, image_size)
        self.images = [read(picture, image_size) for picture in pictures]
        self.rows = [_rows(picture, image) for picture, image in zip(pictures, self.images, strict=True)]

    def __len__(self) -> int:
        return len(self.images)

    def load_anno(self, index: int) -> NDArray[np.float32]:
        """The boxes of an image: float32 (N, 5), x1, y1, x2, y2 and label."""
        return self.rows[index].copy()

    def pull_item(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], tuple[int, ...], int]:
        """An image, its boxes, its size and its number. Copies, because YOLOX augments in place."""
        image = self.images[index]
        return image.copy(), self.load_anno(index), image.shape[:2], index


class Augmented:
    """The training set with YOLOX's augmentations: mosaics, mixup, mirroring, and changes of colour."""

    def __init__(self, pictures: Sequence[Picture], options: YOLOX) -> None:
        album = Album(pictures, options.image_size)
        most = max(map(len, album.rows))
        self.dataset: Any = MosaicDetection(
            album,
            img_size=album.input_dim,
            # Five times, for the four images of a mosaic and the one that mixup adds.
            preproc=TrainTransform(max_labels=max(5 * most, 1), flip_prob=options.horizontal_flip),
            mosaic_scale=options.mosaic_scale,
            mosaic_prob=options.mosaic,
            mixup_prob=options.mixup,
        )

    def batch(self, picks: Sequence[int], *, plain: bool) -> tuple[Tensor, Tensor]:
        """Images float32 (B, 3, S, S) and targets float32 (B, N, 5): label, centre, width and height, padded with rows of zeros."""
        examples = [self.dataset[(not plain, pick)][:2] for pick in picks]
        # If an image has no other boxes, YOLOX keeps those that its crop has reduced to nothing.
        kept = [torch.from_numpy(rows[(rows[:, 3:] > MIN_SIDE).all(1)]) for _, rows in examples]
        images = torch.stack([torch.from_numpy(image) for image, _ in examples])
        targets = torch.nn.utils.rnn.pad_sequence(kept, batch_first=True)
        return images, targets


def plain_batches(images: ImageSet, options: YOLOX) -> list[tuple[Tensor, Tensor]]:
    """Images and targets without augmentation, in batches as `Augmented.batch` returns them."""
    album = Album(images.pictures, options.image_size)
    batches = (range(first, min(first + options.batch_size, len(album))) for first in range(0, len(album), options.batch_size))
    return [_plain_batch(album, picks, options.image_size) for picks in batches]


def _plain_batch(album: Album, picks: Sequence[int], image_size: int) -> tuple[Tensor, Tensor]:
    targets = []
    for pick in picks:
        rows = torch.from_numpy(album.load_anno(pick))
        low, high, label = rows[:, :2], rows[:, 2:4], rows[:, 4:]
        targets.append(torch.cat([label, (low + high) / 2, high - low], 1)[((high - low) > MIN_SIDE).all(1)])
    pixels = torch.stack([padded(album.images[pick], image_size) for pick in picks])
    return pixels, torch.nn.utils.rnn.pad_sequence(targets, batch_first=True)


def _rows(picture: Picture, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    boxes = picture.boxes
    assert boxes is not None, "the core leaves unlabelled images out"
    boxes = boxes.keep(~boxes.crowd)
    high, wide = image.shape[:2]
    xyxy = boxes.scaled(wide / picture.width, high / picture.height).xyxy.clip(0, [wide, high] * 2)
    return np.column_stack([xyxy, boxes.labels]).astype(np.float32)
