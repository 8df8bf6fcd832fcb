"""Builds the detector from its description, which `model.json` contains."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench import SynthbenchError
from torchvision.models import detection
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from synthbench_fasterrcnn.backbones import EfficientNetLite0, Small

if TYPE_CHECKING:
    from torch import nn

    from synthbench_fasterrcnn import FasterRCNN

OWN = ("efficientnet_lite0", "small")
HEAD_WIDTH = 128
MODEL, SPEC = "model.safetensors", "model.json"
SAMPLERS = (
    "rpn_pre_nms_top_n_train",
    "rpn_post_nms_top_n_train",
    "rpn_batch_size_per_image",
    "box_batch_size_per_image",
    "rpn_pre_nms_top_n_test",
    "rpn_post_nms_top_n_test",
)
OWN_SAMPLERS = dict(zip(SAMPLERS, (400, 100, 64, 32, 400, 150), strict=True))
"""With a small backbone, torchvision's own values, (2000, 2000, 256, 512, 1000, 1000), would take most of the time of a step."""


@dataclass(frozen=True)
class Spec:
    """What determines the layers: written beside the weights, so that `predict` builds the same ones."""

    backbone: str
    categories: tuple[str, ...]
    image_size: int
    stride: int
    anchor_sizes: tuple[float, ...]

    def save(self, path: Path) -> None:
        """Writes JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Spec:
        """Reads what `save` wrote."""
        fields = json.loads(path.read_text())
        return cls(**{**fields, "categories": tuple(fields["categories"]), "anchor_sizes": tuple(fields["anchor_sizes"])})


def build(spec: Spec, options: FasterRCNN, *, imagenet: bool = False) -> nn.Module:
    """torchvision's FasterRCNN; label 0 is the background. `imagenet` loads weights for `efficientnet_lite0` only.

    Raises SynthbenchError if `anchor_sizes` do not fit the backbone.
    """
    arguments: dict[str, Any] = {name: value for name in SAMPLERS if (value := getattr(options, name)) is not None}
    arguments |= {"min_size": spec.image_size, "max_size": spec.image_size, "_skip_resize": True}
    arguments |= {"box_score_thresh": options.score_threshold, "box_nms_thresh": options.nms_iou, "box_detections_per_img": 100}
    classes = len(spec.categories) + 1
    if spec.backbone in OWN:
        backbone = Small(spec.stride) if spec.backbone == "small" else EfficientNetLite0(spec.stride, imagenet)
        model = detection.FasterRCNN(
            backbone,
            rpn_anchor_generator=AnchorGenerator((spec.anchor_sizes,), ((0.5, 1.0, 2.0),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=1),
            box_head=TwoMLPHead(backbone.out_channels * 49, HEAD_WIDTH),
            box_predictor=FastRCNNPredictor(HEAD_WIDTH, classes),
            **{**OWN_SAMPLERS, **arguments},
        )
    else:
        make = getattr(detection, f"fasterrcnn_{spec.backbone}")
        model = make(weights=None, weights_backbone=None, num_classes=classes, **arguments)
        if spec.anchor_sizes:
            model.rpn.anchor_generator = _anchors(model.rpn.anchor_generator, spec)
    return model


def _anchors(own: AnchorGenerator, spec: Spec) -> AnchorGenerator:
    """Anchors of these sizes instead of torchvision's five, which are one per level of the pyramid, or all on each level."""
    if len(spec.anchor_sizes) != 5:
        raise SynthbenchError(f"anchor_sizes: {spec.backbone} has five, from fine to coarse, not {len(spec.anchor_sizes)}")
    one_each = len(own.sizes[0]) == 1
    sizes = tuple((size,) for size in spec.anchor_sizes) if one_each else (spec.anchor_sizes,) * len(own.sizes)
    return AnchorGenerator(sizes, own.aspect_ratios)
