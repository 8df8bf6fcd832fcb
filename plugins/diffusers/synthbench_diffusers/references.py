"""References as training squares and as latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench_diffusers.conditioning import SizeAndCrop


class View(NamedTuple):
    """A square of an image, top and left in pixels of the resized (and mirrored) image."""

    number: int
    mirrored: bool
    top: int
    left: int


def to_batch(pixels: NDArray[np.uint8]) -> Any:
    """float32 (1, 3, H, W) in -1..1 of uint8 (H, W, 3)."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


class Squares:
    """Images whose shorter side was made `size`, and squares of them: as diffusers' examples resize, flip and crop."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], size: int, crop: Literal["random", "center"], flip: bool) -> None:
        self.size, self.crop, self.flip = size, crop, flip
        self.originals = [image.shape[:2] for image in images]
        self.resized = [_shorter_side(image, size) for image in images]

    def __len__(self) -> int:
        return len(self.resized)

    def choose(self, number: int, generator: Any) -> View:
        """A view of image `number`, drawn from the generator where there is something to draw."""
        height, width = self.resized[number].shape[:2]
        mirrored = self.flip and bool(torch.rand((), generator=generator) < 0.5)
        if self.crop == "center":
            return View(number, mirrored, round((height - self.size) / 2), round((width - self.size) / 2))
        top, left = (int(torch.randint(slack + 1, (), generator=generator)) for slack in (height - self.size, width - self.size))
        return View(number, mirrored, top, left)

    def pixels(self, view: View) -> Any:
        """float32 (1, 3, size, size) in -1..1."""
        image = self.resized[view.number][:, ::-1] if view.mirrored else self.resized[view.number]
        return to_batch(image[view.top : view.top + self.size, view.left : view.left + self.size])

    def size_and_crop(self, view: View) -> SizeAndCrop:
        """What SDXL is told of the view."""
        height, width = self.originals[view.number]
        return height, width, view.top, view.left, self.size, self.size

    def repeats(self, view: View) -> bool:
        """Whether the view will come again, so that its latents are worth keeping."""
        return self.crop == "center" or self.resized[view.number].shape[:2] == (self.size, self.size)


@dataclass
class Latents:
    """Squares encoded by the VAE; where views repeat, each is encoded once, since the VAE is not trained."""

    vae: Any
    squares: Squares

    def __post_init__(self) -> None:
        self.kept: dict[View, tuple[Any, Any]] = {}

    def draw(self, number: int, generator: Any) -> tuple[Any, SizeAndCrop]:
        """Latents float32 (1, C, h, w) on the processor, drawn from the VAE's distribution of a view of the image."""
        view = self.squares.choose(number, generator)
        mean, deviation = self.kept.get(view) or self._encode(view)
        drawn = mean + deviation * torch.randn(mean.shape, generator=generator)
        return drawn * self.vae.config.scaling_factor, self.squares.size_and_crop(view)

    def _encode(self, view: View) -> tuple[Any, Any]:
        with torch.no_grad():
            spread = self.vae.encode(self.squares.pixels(view).to(self.vae.device, self.vae.dtype)).latent_dist
        made = spread.mean.float().cpu(), spread.std.float().cpu()
        if self.squares.repeats(view):
            self.kept[view] = made
        return made


def _shorter_side(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    shorter = min(height, width)
    if shorter == size:
        return image
    resized = Image.fromarray(image).resize((size * width // shorter, size * height // shorter), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8)
