"""The stand-ins against plain PyTorch, written down from the definitions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from synthbench.execution.environments import Environments, default_folder, environment_spec_of
from synthbench_mmdet import FasterRCNNMmdet
from synthbench_mmdet.library import STAND_INS
from torch import Tensor

if not STAND_INS:
    pytest.skip("this mmcv is a compiled one", allow_module_level=True)


def some_boxes(count: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    corner, size = torch.rand(count, 2, generator=rng) * 60, torch.rand(count, 2, generator=rng) * 30 + 1
    return torch.cat([corner, corner + size], 1)


def iou(box: Tensor, others: Tensor, offset: int) -> Tensor:
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2]) + offset).clamp(min=0)
    area, areas = (box[2:] - box[:2] + offset).prod(), (others[:, 2:] - others[:, :2] + offset).prod(1)
    return sides.prod(1) / (area + areas - sides.prod(1))


@pytest.mark.parametrize("offset", [0, 1])
def test_nms(offset: int) -> None:
    from mmcv.ops import batched_nms, nms

    boxes, scores = some_boxes(80), torch.rand(80, generator=torch.Generator().manual_seed(1))
    kept: list[int] = []
    for number in scores.argsort(descending=True).tolist():
        if not kept or iou(boxes[number], boxes[kept], offset).max() <= 0.4:
            kept.append(number)
    detections, indices = nms(boxes, scores, 0.4, offset)
    assert indices.tolist() == kept
    assert torch.equal(detections, torch.cat([boxes, scores[:, None]], 1)[kept])
    assert 10 < len(kept) < 70
    kinds = torch.arange(80) % 2
    _, indices = batched_nms(boxes, scores, kinds, {"type": "nms", "iou_threshold": 0.4})
    each = [index for kind in (0, 1) for index in (kinds == kind).nonzero()[:, 0][nms(boxes[kinds == kind], scores[kinds == kind], 0.4)[1]]]
    assert sorted(indices.tolist()) == sorted(int(index) for index in each)


@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(method: str) -> None:
    from mmcv.ops import nms, soft_nms

    boxes, scores = some_boxes(40), torch.rand(40, generator=torch.Generator().manual_seed(1))
    detections, indices = soft_nms(boxes, scores, 0.4, sigma=0.5, min_score=0.05, method=method)
    assert torch.equal(detections[:, :4], boxes[indices])
    assert (detections[:, 4].diff() <= 0).all()
    if method == "naive":
        wanted = nms(boxes, scores, 0.4)[1]
        assert indices.tolist() == [index for index in wanted.tolist() if scores[index] >= 0.05]
    else:
        lowered = scores.clone()
        for rank, index in enumerate(indices):
            torch.testing.assert_close(detections[rank, 4], lowered[index])
            overlap = iou(boxes[index], boxes, 0)
            lowered *= torch.exp(-(overlap**2) / 0.5) if method == "gaussian" else torch.where(overlap >= 0.4, 1 - overlap, 1)
        assert len(indices) > len(nms(boxes, scores, 0.4)[1])


def roi_align_by_sampling(features: Tensor, rois: Tensor, size: int, scale: float, samples: int) -> Tensor:
    """Means of `samples` x `samples` bilinear samples in each of `size` x `size` cells (He et al., arXiv 1703.06870)."""
    means = []
    for roi in rois:
        x1, y1, x2, y2 = (roi[1:] * scale - 0.5).tolist()
        steps = (torch.arange(size * samples, dtype=features.dtype) + 0.5) / (size * samples)
        high, wide = features.shape[-2:]
        x, y = (x1 + (x2 - x1) * steps), (y1 + (y2 - y1) * steps)
        grid = torch.stack(torch.meshgrid((x + 0.5) / wide * 2 - 1, (y + 0.5) / high * 2 - 1, indexing="xy"), -1)
        sampled = torch.nn.functional.grid_sample(features[roi[0].long()][None], grid[None], padding_mode="border", align_corners=False)
        means.append(torch.nn.functional.avg_pool2d(sampled, samples)[0])
    return torch.stack(means)


def test_roi_align_and_its_gradient() -> None:
    from mmcv.ops import RoIAlign

    rng = torch.Generator().manual_seed(0)
    features = torch.rand(2, 3, 20, 24, generator=rng, dtype=torch.float64)
    rois = torch.tensor([[0, 8, 8, 40, 60], [1, 4.5, 10, 70, 31], [1, 30, 30, 33, 37]], dtype=torch.float64)
    weights = torch.rand(3, 3, 4, 4, generator=rng, dtype=torch.float64)
    ours, reference = features.clone().requires_grad_(), features.clone().requires_grad_()
    found = RoIAlign(4, spatial_scale=0.25, sampling_ratio=2)(ours, rois)
    wanted = roi_align_by_sampling(reference, rois, 4, 0.25, 2)
    torch.testing.assert_close(found, wanted)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(ours.grad, reference.grad)
    with pytest.raises(NotImplementedError, match="needs a compiled mmcv"):
        RoIAlign(4, pool_mode="max")(features, rois)


def test_focal_loss_and_its_gradient() -> None:
    from mmcv.ops import sigmoid_focal_loss
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    rng = torch.Generator().manual_seed(0)
    logits, target = torch.randn(12, 3, generator=rng), torch.randint(0, 4, (12,), generator=rng)
    ours, reference = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = sigmoid_focal_loss(ours, target, 2.0, 0.25, None, "none")
    wanted = py_sigmoid_focal_loss(reference, torch.nn.functional.one_hot(target, 4)[:, :3], reduction="none")
    torch.testing.assert_close(found, wanted)
    found.sum().backward()
    wanted.sum().backward()
    torch.testing.assert_close(ours.grad, reference.grad)
    weighted = sigmoid_focal_loss(logits, target, 2.0, 0.25, torch.tensor([1.0, 2.0, 3.0]), "none")
    torch.testing.assert_close(weighted, wanted.detach() * torch.tensor([1.0, 2.0, 3.0, 1.0])[target, None])


def test_other_operators_say_what_they_need() -> None:
    from mmcv.ops import DeformConv2dPack

    with pytest.raises(NotImplementedError, match="'deform_conv_forward' has no stand-in"):
        DeformConv2dPack(2, 2, 3, padding=1)(torch.rand(1, 2, 8, 8))


def answers(python: str | Path, file: Path) -> tuple[dict[str, Tensor], bool]:
    """What the operators of an interpreter's environment answer, and whether those are the stand-ins."""
    subprocess.run([python, Path(__file__).with_name("operator_answers.py"), file], check=True, timeout=300)
    with safe_open(file, "pt") as opened:
        names = opened.keys()
        return {name: opened.get_tensor(name) for name in names}, opened.metadata()["stand-ins"] == "True"


def test_the_same_as_a_compiled_mmcv(tmp_path: Path) -> None:
    """Skipped unless the environment for `compiled = true` exists: a test installs and compiles nothing."""
    spec = environment_spec_of(FasterRCNNMmdet(compiled=True), "synthbench-mmdet")
    environments = Environments(default_folder())
    if spec is None or environments.about(spec.name) is None:
        pytest.skip("the environment with a compiled mmcv does not exist here")
    ours, stand_ins = answers(sys.executable, tmp_path / "ours.safetensors")
    theirs, others = answers(environments.python(spec.name), tmp_path / "theirs.safetensors")
    assert (stand_ins, others) == (True, False)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 100
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], msg=lambda message, name=name: f"{name}: {message}")
