"""Explanations in a report, for somebody who has read nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthbench.results.model import Failure

GLOSSARY = """\
- **Detector**: a model that draws boxes around objects. It is trained on one training set and tested on the test images,
  which are in no training set.
- **AP**, average precision: from 0 to 1, higher is better. It counts how many of the objects are found and how few boxes are
  wrong, over all scores that a detector gives its boxes, averaged over ten levels of how exactly a box must fit (COCO's AP,
  IoU 0.50 to 0.95).
- **AP50**: the same at the easiest level only: a box is right if it and the true box share half of the area that both cover
  together (IoU 0.5).
- **real**: the row trained on all real training images with their true boxes; the level to compare with.
- **references**: the few real images, with true boxes, that a generator is fitted on. Generated images must beat what a
  detector reaches with these alone.
- **Generator**: a model, usually a diffusion model, that is fitted on the references and then samples new images.
- **Annotator**: what draws the boxes on generated images. A `teacher` is a detector that was trained on the references;
  `native` are the boxes that the generator itself gives; `human` are people.
- **Worth real images**: how many real images give the same detector the same AP, with a 95 % interval. *Fewer than* a number, without
  an interval: all of it is below the smallest number of real images that a detector was trained on; *more than all*: above the largest.
  *Not told*: more real images bring no more AP, as far as can be told.
- **failed**: a stage broke, so there is no figure; the others went on. **waiting**: people have yet to label images. A dash
  (\u2013): there is nothing to measure.
"""
"""One line each, as Markdown."""

PAPER = """\
**For comparison:** the paper that this follows (Voetman, Aghaei, Dijkstra,
[arXiv 2306.09762](https://arxiv.org/abs/2306.09762)) reports that its detectors, trained on generated images, deviate by
**0.09 to 0.12 AP** from the same detectors trained on photographs. Its data are others, and people drew the boxes on its
generated images, so the figures here and there are not like for like."""
"""Its abstract; it is cited for the difference alone."""

PUBLISHED = """\
Published by others on the same test images, at their settings and trained on all training images; not measured here:"""

DECIDED = """\
*Replaces*: the AP is less than {margin:g} below that of the real images, with an error rate of 5 % over {tests} \
(Holm's correction). *Does not*: it is more than {margin:g} below, likewise. In brackets: 95 % intervals over \
{replicates} replicates, which differ in {drawn}{once}, and over {images} test images{groups}; differences are taken \
within a replicate. Each interval is of one comparison alone, and the verdicts allow for all of them, so a set whose interval lies beyond \
the margin can still be *not settled*. Higher is better; a negative difference means that real images do better."""
"""How verdicts come about."""

CHOSEN = "The best generated set was chosen by the AP on held-out real images ({count}), which are in no training set."
FLATTERED = "The best generated set is the one with the highest AP on the test images themselves, which flatters it; `holdout` avoids that."
"""How the best generated set was chosen."""

NO_INTERVALS = "There are no intervals, and so no verdicts: two test images at least, or groups of them, must be there to draw from."
"""Of several replicates with one test image."""

BY_CLASS = """\
AP of each class alone, the mean over replicates; AP above is the mean over the classes. In brackets: how many objects of the class the
test images have. With few of them, the figure says little."""
"""What figures of classes mean."""

COST = """\
Seconds that each stage took when it was run. Taking the real images and drawing their boxes is not included: they look free
here and are not. A stage that several training sets share is counted in each. Seconds are means over replicates, and a stage took
longer where other work ran beside it: trainings of one detector with the same number of steps show by how much."""
"""What the seconds are."""

JUDGED = """\
Each annotator was also run on the test images, whose true boxes are known. Precision: the share of its boxes that are right
(IoU 0.5). Recall: the share of the objects that it found. On generated images it may do better or worse: their true boxes are
known only where people drew them."""
"""What an annotator's figures mean."""


WAITING = """\
**These images wait for people.** In each folder, below the folder of labels that the run was given, a `README.md` says how to label them;
`synthbench label import` takes the answers, and the next run goes on."""
"""What waits."""

LABELLED = """\
*Empty*: images in which people found nothing. *Seconds an image*: as the tool measured, where it does. An image that nobody looked
at has no answer, and is in no training."""
"""What people answered."""

AGREEMENT = """\
Annotators' boxes on the generated images themselves, with people's boxes as the truth (IoU 0.5). Where an annotator's boxes were drawn
before people labelled, its figures are too good: what is drawn is easily accepted. *Kept*: boxes that people left as they were, to half
a pixel; *moved*: changed, but still the same object; *removed*: of the annotator alone; *added*: of people alone."""
"""What comparing with people means."""


def after(failures: Sequence[Failure]) -> str:
    """What to do about failures. Where an error says what to change, trying again changes nothing."""
    fixable = sum(each.fixable for each in failures)
    if not fixable:
        return "The next run of the same command tries again."
    if fixable == len(failures):
        return "The error says what to change; before that, the same command fails again."
    return f"The next run of the same command tries again. Of {fixable} the error says what to change; before that, they fail again."


def more(replicates: int | None, images: int | None) -> list[str]:
    """How many more of one or of the other it takes; nothing where no number is known."""
    numbers = {"replicate": replicates, "test image": images}
    return [f"{count} more {what}{'s' * (count > 1)}" for what, count in numbers.items() if count]
