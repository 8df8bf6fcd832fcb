"""Stand-ins for mmcv's compiled operators, for use with `mmcv-lite`, which is mmcv's Python code without its C++ code.

They have the arguments of mmcv's `_ext`, and write their results to the same arguments as it does.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

COMPILED = "mmcv._ext"


def install() -> bool:
    """Registers the stand-ins as the compiled module if that is missing; returns whether they are in use."""
    module = sys.modules.get(COMPILED)
    if module is None and importlib.util.find_spec(COMPILED) is None:
        module = sys.modules[COMPILED] = StandIn()
    return isinstance(module, StandIn)


class StandIn(ModuleType):
    """`mmcv._ext` with the operators that torchvision or plain PyTorch can compute; the others raise when they are called."""

    def __init__(self) -> None:
        super().__init__(COMPILED, "Stand-ins by synthbench_mmdet.")
        self.__spec__ = ModuleSpec(COMPILED, None)
        self.nms = nms
        self.softnms = softnms
        self.roi_align_forward = roi_align_forward
        self.roi_align_backward = roi_align_backward
        self.sigmoid_focal_loss_forward = sigmoid_focal_loss_forward
        self.sigmoid_focal_loss_backward = sigmoid_focal_loss_backward

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise NotImplementedError(f"mmcv's operator '{name}' has no stand-in: it needs a compiled mmcv instead of mmcv-lite")

        return missing


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes (N, 4) to keep, highest score first. offset: added to x2 and y2; 1 if they are inclusive."""
    kept: Tensor = ops.nms(boxes + boxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)
    return kept


def softnms(
    boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float, min_score: float, method: int, offset: int
) -> Tensor:
    """Writes boxes and lowered scores to `dets` (N, 5), highest score first, and returns their indices in `boxes` (N, 4).

    method: 0 drops boxes that overlap, 1 lowers their scores in proportion to the overlap, 2 by a Gaussian (Bodla et al., arXiv
    1704.04503).
    """
    shifted = boxes + boxes.new_tensor([0, 0, offset, offset])
    left = torch.arange(len(boxes))
    scores = scores.clone()
    order: list[int] = []
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(order), :4], dets[len(order), 4] = boxes[best], scores[best]
        order.append(int(best))
        left = left[left != best]
        overlap = ops.box_iou(shifted[best][None], shifted[left])[0]
        if method == 2:
            factor = torch.exp(-(overlap**2) / sigma)
        else:
            factor = torch.where(overlap >= iou_threshold, 1 - overlap if method == 1 else torch.zeros_like(overlap), 1)
        scores[left] *= factor
        left = left[scores[left] >= min_score]
    return torch.tensor(order, dtype=torch.int64)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,  # noqa: ARG001
    argmax_x: Tensor,  # noqa: ARG001
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Writes the means over `rois` (K, 5), index in the batch and corners, to `output` (K, C, H, W)."""
    _means_only(pool_mode)
    output.copy_(ops.roi_align(input, rois, (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,  # noqa: ARG001
    argmax_x: Tensor,  # noqa: ARG001
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Writes the gradient of `roi_align_forward` to `grad_input` (N, C, H, W)."""
    _means_only(pool_mode)
    backward = torch.ops.torchvision._roi_align_backward
    grad_input.copy_(backward(grad_output, rois, spatial_scale, aligned_height, aligned_width, *grad_input.shape, sampling_ratio, aligned))


def _means_only(pool_mode: int) -> None:
    if pool_mode == 0:
        raise NotImplementedError("RoIAlign with pool_mode 'max' needs a compiled mmcv instead of mmcv-lite")


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Writes the focal loss (Lin et al., arXiv 1708.02002) of logits to `output` (N, C). target (N,): C is the background.

    mmdet uses it on a GPU only. weight: one for each category (C,), or empty.
    """
    output.copy_(_focal_losses(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    *,
    gamma: float,
    alpha: float,
) -> None:
    """Writes the gradient of the sum of `sigmoid_focal_loss_forward`'s output to `grad_input` (N, C)."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        total = _focal_losses(logits, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(total, logits)[0])


def _focal_losses(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    one_hot = functional.one_hot(target, logits.shape[1] + 1)[:, :-1].to(logits)
    losses: Tensor = ops.sigmoid_focal_loss(logits, one_hot, alpha, gamma)
    return losses * torch.cat([weight, weight.new_ones(1)])[target, None] if weight.numel() else losses
