"""The results of mmcv's operators in this environment: `python operator_answers.py FILE` writes them to a .safetensors file.

With a compiled mmcv and with the stand-ins, this program must write the same results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from safetensors.torch import save_file
from synthbench_mmdet.library import STAND_INS
from torch import Tensor


def some_boxes(count: int, seed: int) -> Tensor:
    """(count, 4) in 90 x 90 pixels."""
    rng = torch.Generator().manual_seed(seed)
    corner, size = torch.rand(count, 2, generator=rng) * 60, torch.rand(count, 2, generator=rng) * 30 + 1
    return torch.cat([corner, corner + size], 1)


def suppressed() -> Iterator[tuple[str, Tensor]]:
    """NMS and soft NMS, plain and by category."""
    from mmcv.ops import batched_nms, nms, soft_nms

    for seed in range(5):
        boxes, scores = some_boxes(200, seed), torch.rand(200, generator=torch.Generator().manual_seed(seed + 100))
        for threshold in (0.2, 0.5, 0.7):
            for offset in (0, 1):
                yield f"nms {seed} {threshold} {offset}", nms(boxes, scores, threshold, offset)[1]
                for method in ("naive", "linear", "gaussian"):
                    found, indices = soft_nms(boxes, scores, threshold, 0.5, 1e-3, method, offset)
                    yield f"soft {method} {seed} {threshold} {offset} boxes", found
                    yield f"soft {method} {seed} {threshold} {offset} indices", indices
            found, indices = batched_nms(boxes, scores, torch.arange(200) % 3, {"type": "nms", "iou_threshold": threshold})
            yield f"batched {seed} {threshold} boxes", found
            yield f"batched {seed} {threshold} indices", indices
    yield "nms of nothing", nms(boxes[:0], scores[:0], 0.5)[1]


def pooled() -> Iterator[tuple[str, Tensor]]:
    """RoIAlign and its gradient, of regions that leave the image, too."""
    from mmcv.ops import RoIAlign

    rng = torch.Generator().manual_seed(0)
    features = torch.rand(2, 4, 24, 30, generator=rng)
    rois = torch.cat([(torch.arange(40) % 2)[:, None].float(), some_boxes(40, 9) * 1.5 - 8], 1)
    for aligned in (True, False):
        for samples in (0, 1, 2):
            leaf = features.clone().requires_grad_()
            output = RoIAlign((5, 7), spatial_scale=0.25, sampling_ratio=samples, aligned=aligned)(leaf, rois)
            output.backward(torch.rand(output.shape, generator=torch.Generator().manual_seed(1)))
            yield f"roi_align {aligned} {samples}", output.detach()
            assert leaf.grad is not None
            yield f"roi_align {aligned} {samples} gradient", leaf.grad


def detected() -> Iterator[tuple[str, Tensor]]:
    """A small Faster R-CNN's losses, gradients and detections."""
    from pathlib import Path

    from synthbench.execution.stage_run import StageRun
    from synthbench_mmdet import FasterRCNNMmdet
    from synthbench_mmdet.configs import build, resolve
    from synthbench_mmdet.data import packed
    from synthbench_mmdet.library import contained

    rng = torch.Generator().manual_seed(0)
    with contained(StageRun(Path())):
        torch.manual_seed(0)
        model = build(resolve(FasterRCNNMmdet(config="small-faster-rcnn"), 2)["model"], "small-faster-rcnn")
        for parameter in model.parameters():  # the same for every version of torch, whatever it draws first
            parameter.data = torch.randn(parameter.shape, generator=rng) * (0.1 if parameter.dim() == 1 else parameter[0].numel() ** -0.5)
        images = [torch.rand(3, 96, 96, generator=rng) * 255 for _ in range(2)]
        boxes, labels = some_boxes(6, 3), torch.arange(6) % 2
        samples = [packed(image, boxes, labels, torch.zeros(6, dtype=torch.bool)) for image in images]
        batch = {name: [sample[name] for sample in samples] for name in ("inputs", "data_samples")}
        torch.manual_seed(0)  # it samples proposals
        losses, _ = model.parse_losses(model(**model.data_preprocessor(batch, training=True), mode="loss"))
        losses.backward()
        yield "loss", losses.detach()[None]
        yield from ((f"gradient of {name}", each.grad) for name, each in model.named_parameters() if each.grad is not None)
        model.eval()
        with torch.inference_mode():
            for number, sample in enumerate(model.test_step(batch)):
                yield f"found {number} boxes", sample.pred_instances.bboxes.clone()
                yield f"found {number} scores", sample.pred_instances.scores.clone()


if __name__ == "__main__":
    answers = {name: tensor.detach().contiguous() for part in (suppressed(), pooled(), detected()) for name, tensor in part}
    save_file(answers, sys.argv[1], {"stand-ins": str(STAND_INS)})
