"""What the words of a report mean, for somebody who has read nothing else."""

GLOSSARY = """\
- **Detector**: a model that draws boxes around objects. It is trained on one training set and tested on the test images,
  which no training has seen.
- **AP**, average precision: from 0 to 1, higher is better. It asks how many of the objects are found and how few boxes are
  wrong, over all scores that a detector gives its boxes, averaged over ten demands on how exactly a box must fit (COCO's AP,
  IoU 0.50 to 0.95).
- **AP50**: the same with the mildest demand alone: a box is right when it and the true box share half of the area that they
  cover together (IoU 0.5).
- **real**: the row trained on all real training images with their true boxes; the level to compare with.
- **references**: the few real images, with true boxes, that a generator is fitted on. What a detector reaches with these
  alone is what generated images must beat.
- **Generator**: a model, mostly a diffusion model, that is fitted on the references and then samples new images.
- **Annotator**: what draws the boxes on generated images, since nobody labels them by hand. A `teacher` is a detector that
  was trained on the references.
- **failed**: a stage broke, so there is no figure; the others went on. A dash (\u2013): there is nothing to measure.
"""
"""One line each, as Markdown."""

PAPER = """\
**The paper's figure beside it:** the paper that this follows (Voetman, Aghaei, Dijkstra,
[arXiv 2306.09762](https://arxiv.org/abs/2306.09762)) reports that its detectors, trained on generated images, deviate by
**0.09 to 0.12 AP** from the same detectors trained on photographs. That is a yardstick, not a like-for-like comparison: there
people drew the boxes on the generated images, and the test was 331 photographs of apple trees."""
"""Its abstract; it is cited for the difference alone."""

NOISE = """\
1 to 2 AP points (0.01 to 0.02) between seeds are common on small sets (mmdetection issues \
[#3624](https://github.com/open-mmlab/mmdetection/issues/3624) and \
[#2773](https://github.com/open-mmlab/mmdetection/issues/2773))"""
"""How far seeds alone move a figure."""

COST = """\
Seconds that each stage took when it was carried out. What it took to take the real images and to draw their boxes is
not in it, so they look free here and are not. A stage that several training sets share is counted in each."""
"""What the seconds are."""

JUDGED = """\
Each annotator was also given the test images, whose true boxes are known. Precision: the share of its boxes that are right
(IoU 0.5). Recall: the share of the objects that it found. On generated images it may do better or worse; there nobody knows
the truth."""
"""What an annotator's figures mean."""
