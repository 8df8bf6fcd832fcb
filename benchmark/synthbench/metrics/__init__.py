"""How well predicted boxes fit the true ones: COCO's AP and AR, precision and recall at one IoU, IoU and NMS.

The rules are those of cocoapi (Lin and Dollár, 2015), and so are the numbers, ties and rounding included; the tests compare
the two. Areas are those of the boxes.
"""

from synthbench.metrics.matching import Matches, match
from synthbench.metrics.overlap import iou_matrix, nms
from synthbench.metrics.scores import Counts, evaluate, precision_recall, summarize

__all__ = ["Counts", "Matches", "evaluate", "iou_matrix", "match", "nms", "precision_recall", "summarize"]
