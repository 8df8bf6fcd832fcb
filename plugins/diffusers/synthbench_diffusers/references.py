"""Training images: square crops of the references, and their latents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench_diffusers.conditioning import SizeAndCrop
    from synthbench_diffusers.recipe import Recipe

CROPS = 8  # random crops of each image


class Crop(NamedTuple):
    """A square crop of an image. image: its position. top and left: in pixels of the resized, perhaps flipped, image."""

    image: int
    flipped: bool
    top: int
    left: int


def to_batch(pixels: NDArray[np.uint8]) -> Any:
    """float32 (1, 3, H, W) in -1..1, from uint8 (H, W, 3)."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


@dataclass
class Squares:
    """Square crops of images: resized to a shorter side of `size` pixels, flipped and cropped as in diffusers' scripts.

    Images are taken one at a time, and only what is resized is kept: photographs are much larger.
    Of an image that is not square, `CROPS` random crops are used instead of new ones at each step, so that each is encoded once.
    """

    images: InitVar[Iterable[NDArray[np.uint8]]]
    size: int
    center_crop: bool = False
    random_flip: bool = False
    seed: int = 0
    interpolation: InitVar[str] = "bilinear"

    def __post_init__(self, images: Iterable[NDArray[np.uint8]], interpolation: str) -> None:
        resampling = Image.Resampling[interpolation.upper()]
        both = [(image.shape[:2], _resize(image, self.size, resampling)) for image in images]
        self.original_sizes = [size for size, _ in both]
        self.resized = [resized for _, resized in both]

    @classmethod
    def of(cls, recipe: Recipe, images: Iterable[NDArray[np.uint8]], seed: int) -> Squares:
        """As the recipe's options say."""
        return cls(images, recipe.resolution, recipe.center_crop, recipe.random_flip, seed, recipe.interpolation)

    def __len__(self) -> int:
        return len(self.resized)

    def draw(self, index: int, generator: Any) -> Crop:
        """A crop of image `index`; what is random is drawn from the generator."""
        height, width = self.resized[index].shape[:2]
        flipped = self.random_flip and bool(torch.rand((), generator=generator) < 0.5)
        if self.center_crop:
            return Crop(index, flipped, round((height - self.size) / 2), round((width - self.size) / 2))
        offsets = np.random.default_rng([self.seed, index, int(torch.randint(CROPS, (), generator=generator))])
        return Crop(index, flipped, int(offsets.integers(height - self.size + 1)), int(offsets.integers(width - self.size + 1)))

    def pixels(self, crop: Crop) -> Any:
        """The crop: float32 (1, 3, size, size) in -1..1."""
        image = self.resized[crop.image][:, ::-1] if crop.flipped else self.resized[crop.image]
        return to_batch(image[crop.top : crop.top + self.size, crop.left : crop.left + self.size])

    def size_and_crop(self, crop: Crop) -> SizeAndCrop:
        """SDXL's `add_time_ids` for the crop."""
        height, width = self.original_sizes[crop.image]
        return height, width, crop.top, crop.left, self.size, self.size


@dataclass
class Latents:
    """Crops encoded by the VAE. The VAE is not trained, so each crop is encoded once."""

    vae: Any
    squares: Squares

    def __post_init__(self) -> None:
        self.cached: dict[Crop, tuple[Any, Any]] = {}

    def draw(self, index: int, generator: Any) -> tuple[Any, SizeAndCrop]:
        """Latents float32 (1, C, h, w) on the CPU, drawn from the VAE's distribution for a crop of image `index`."""
        crop = self.squares.draw(index, generator)
        mean, std = self.cached.get(crop) or self._encode(crop)
        drawn = mean + std * torch.randn(mean.shape, generator=generator)
        return drawn * self.vae.config.scaling_factor, self.squares.size_and_crop(crop)

    def _encode(self, crop: Crop) -> tuple[Any, Any]:
        with torch.no_grad():
            distribution = self.vae.encode(self.squares.pixels(crop).to(self.vae.device, self.vae.dtype)).latent_dist
        encoded = distribution.mean.float().cpu(), distribution.std.float().cpu()
        self.cached[crop] = encoded
        return encoded


def _resize(image: NDArray[np.uint8], size: int, resampling: Image.Resampling) -> NDArray[np.uint8]:
    """The image with a shorter side of `size` pixels."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    if shorter == size:
        return image
    resized = Image.fromarray(image).resize((size * width // shorter, size * height // shorter), resampling)
    return np.asarray(resized, np.uint8)
