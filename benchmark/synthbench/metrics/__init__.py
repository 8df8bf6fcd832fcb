"""Metrics of predicted boxes: COCO's AP and AR, precision and recall at one IoU, IoU and NMS.

The rules and the numbers, including ties and rounding, are those of cocoapi (Lin and Dollár, 2015); the tests compare both.
An object's area is the area of its box.
"""

from synthbench.metrics.matching import Matches, match
from synthbench.metrics.overlap import iou_matrix, nms
from synthbench.metrics.scores import Counts, evaluate, precision_recall, summarize

__all__ = ["Counts", "Matches", "evaluate", "iou_matrix", "match", "nms", "precision_recall", "summarize"]
