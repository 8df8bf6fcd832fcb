"""Tightening boxes with the outlines that SAM 2 finds in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from PIL import Image
from scipy import ndimage
from synthbench import Boxes, ImageSet, Picture, Run, SynthbenchError
from synthbench.metrics import iou_matrix, nms

from synthbench_zeroshot.models import open_checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench_zeroshot import Sam2

TYPES = ("sam2", "sam2_video")  # the hub's checkpoints are for videos; their image part is the same


def tighten(options: Sam2, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Sam2.annotate`."""
    model, processor = open_checkpoint(options.weights, transformers.Sam2Model, TYPES, run, processor=transformers.Sam2Processor)
    count, overlaps = 0, list[float]()
    for picture in run.track(images, "tighten", unit="images"):
        before = selected(options, picture)
        after = np.concatenate([before.xyxy[:0], *outlined(options, model, processor, picture, before)])
        overlap = np.diag(iou_matrix(before.xyxy, after))
        taken = overlap >= options.min_iou
        count += len(before)
        overlaps += overlap[taken].tolist()
        yield replace(before, xyxy=np.where(taken[:, None], after, before.xyxy))
    run.log_metrics(tightened=len(overlaps), unchanged=count - len(overlaps))
    if overlaps:
        run.log_metrics(mean_iou=float(np.mean(overlaps)))


def selected(options: Sam2, picture: Picture) -> Boxes:
    """The boxes of a picture that are to be tightened, clipped to it. Raises SynthbenchError if it has none to start from."""
    if picture.boxes is None:
        raise SynthbenchError(
            f"sam2: {picture.path.name} has no boxes to tighten; name an annotator or a detector of the suite that gives them"
        )
    boxes = replace(picture.boxes, xyxy=picture.boxes.xyxy.clip(0, [picture.width, picture.height] * 2))
    boxes = boxes.keep((boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(-1))
    return nms(boxes.keep(boxes.scores >= options.score_threshold), options.nms_iou) if options.detector else boxes


def outlined(options: Sam2, model: Any, processor: Any, picture: Picture, boxes: Boxes) -> Iterator[NDArray[np.float64]]:
    """Yields the boxes of the outlines of the objects in `boxes`, xyxy (N, 4) in all; zeros where there is no outline."""
    if not len(boxes):
        return
    inputs = processor(images=Image.fromarray(picture.pixels()), return_tensors="pt").to(model.device)
    with torch.inference_mode():
        embeddings = model.get_image_embeddings(inputs["pixel_values"])
        for first in range(0, len(boxes), options.batch_size):
            part = boxes.xyxy[first : first + options.batch_size]
            prompts = processor(original_sizes=inputs["original_sizes"], input_boxes=[part.tolist()], return_tensors="pt")
            out = model(image_embeddings=embeddings, input_boxes=prompts["input_boxes"].to(model.device), multimask_output=False)
            masks = processor.post_process_masks(out.pred_masks, inputs["original_sizes"])[0][:, 0].cpu().numpy()
            yield np.array([box_of(mask, box, options.margin) for mask, box in zip(masks, part, strict=True)]).reshape(-1, 4)


def box_of(mask: NDArray[np.bool_], box: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """The box of the largest connected part of a mask (H, W) near a box, xyxy in pixels; zeros if the mask is empty there.

    margin: how far outside of the box the mask is looked at, as a share of its sides.
    """
    room = margin * np.tile(box[2:] - box[:2], 2) * np.array([-1, -1, 1, 1])
    left, top, right, bottom = np.concatenate([np.floor((box + room)[:2]), np.ceil((box + room)[2:])]).clip(0).astype(int)
    labels, count = ndimage.label(mask[top:bottom, left:right])
    if not count:
        return np.zeros(4)
    largest = 1 + int(np.bincount(labels.ravel())[1:].argmax())
    down, across = ndimage.find_objects(labels)[largest - 1]
    return np.array([left + across.start, top + down.start, left + across.stop, top + down.stop], np.float64)
