"""Metrics of predicted boxes: COCO's AP and AR, TIDE's errors, precision and recall at one IoU, IoU and NMS.

COCO's rules and numbers, including ties and rounding, are those of cocoapi (Lin and Dollár, 2015); the tests compare both.
An object's area is the area of its box.
"""

from synthbench.metrics.errors import Errors, errors
from synthbench.metrics.matching import Matches, match
from synthbench.metrics.measure import measure
from synthbench.metrics.overlap import iou_matrix, nms
from synthbench.metrics.scores import Counts, evaluate, precision_recall, summarize, summarize_each

__all__ = [
    "Counts",
    "Errors",
    "Matches",
    "errors",
    "evaluate",
    "iou_matrix",
    "match",
    "measure",
    "nms",
    "precision_recall",
    "summarize",
    "summarize_each",
]
