"""What kinds of errors cost a detector how much AP: TIDE (Bolya et al., ECCV 2020, arXiv 2008.08115), at IoU 0.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.metrics.matching import AREAS, Matches, Matching, match_fully
from synthbench.metrics.overlap import Overlaps
from synthbench.metrics.scores import check_labels, precision_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.contract.types import Boxes

FOREGROUND, BACKGROUND = 0.5, 0.1  # the paper's IoU thresholds, section 2.2

CLASS, PLACE, BOTH, DUPLICATE, SPURIOUS = range(5)
FALSE = ("class", "place", "both", "duplicate", "background")
"""The types of false positives, in the order of the numbers above."""


@dataclass(frozen=True)
class Errors:
    """The false positives and misses of a detector by type, and the AP that each type costs.

    Of a false positive, `same` is the highest IoU with a true box of its category and `other` that with one of another category.

    class: `other` is at least 0.5 (tidecv's Cls).
    place: `same` is from 0.1 to 0.5 (Loc); it takes precedence over class.
    both: `same` is below 0.1 and `other` between 0.1 and 0.5 (Both).
    duplicate: `same` is above 0.5, but a detection of higher score matched that true box (Dupe).
    background: neither is above 0.1 (Bkg).
    missed: a true box that no detection matched and that no error of class or place would match if it were corrected (Miss).

    ap: AP at IoU 0.5, from 0 to 1, None without true boxes. counts: how many errors of each of the six types.
    costs: dAP, by how much AP at IoU 0.5 would rise if only the errors of the type were corrected; of the six types, and of
        `false_positive` (all false positives removed) and `false_negative` (all unmatched true boxes removed). They do not
        add up to 1 - AP. Empty without true boxes.
    """

    ap: float | None
    counts: Mapping[str, int]
    costs: Mapping[str, float]

    @property
    def facts(self) -> dict[str, float]:
        """`error_TYPE`, the dAP of a type, and `error_TYPE_count`."""
        costs = {f"error_{name}": cost for name, cost in self.costs.items()}
        return costs | {f"error_{name}_count": count for name, count in self.counts.items()}


def errors(truth: Sequence[Boxes], predictions: Sequence[Boxes], categories: int) -> Errors:
    """The errors of predictions, and what they cost. Truth and predictions have one `Boxes` per image.

    Correcting an error of class or place makes it a true positive of the true box with the highest IoU, if that box was not
    matched. Of several errors with the same box only the one of highest score is corrected, whatever its type; the others of
    the corrected type are removed, as are errors of the other types. A missed box is removed from the true boxes.

    The figures are those of hotcoco 1.3.0. It differs from the authors' tidecv 1.0.1 in these points:
    at most 100 detections of a category in an image count (tidecv: of all categories together);
    detections that match a crowd are ignored, and no error (tidecv: an error that can be corrected);
    `same` includes crowds, with the intersection over the area of the detection, so that a detection partly in a crowd is an
    error of place, and is removed if corrected (tidecv: without crowds);
    AP is a mean over the categories with true boxes (tidecv: or with detections), and 0 where removing missed boxes leaves none;
    detections of equal score keep their order (tidecv: errors first), and a negative dAP is not set to 0.

    Raises ValueError if truth and predictions differ in length or a label is not from 0 to `categories` - 1.
    """
    check_labels(truth, predictions, categories)
    return errors_of(match_fully(truth, predictions, np.array([FOREGROUND]), AREAS[:1]), categories)


def errors_of(matching: Matching, categories: int) -> Errors:
    """What `errors` returns, from matches whose first IoU is 0.5 and whose first range of areas has all boxes."""
    matches = matching.matches
    missed = matches.truth_counts[0] & ~matching.taken[0, 0]
    same, other = _nearest(matching)
    kinds = _kinds(matches, same.iou, other.iou)
    aims = np.select([kinds == PLACE, kinds == CLASS], [same.truth, other.truth], -1)
    aims[aims >= 0] = np.where(missed[aims[aims >= 0]], aims[aims >= 0], -1)
    uncovered = missed.copy()
    uncovered[aims[aims >= 0]] = False
    costs = _Costs(matches, kinds, np.where(_first(aims, matches.score, matching.position), aims, -1), missed, uncovered)
    base, rises = costs.means(categories)
    counts = {name: int((kinds == kind).sum()) for kind, name in enumerate(FALSE)}
    return Errors(base, counts | {"missed": int(uncovered.sum())}, rises)


@dataclass(frozen=True, eq=False)
class _Nearest:
    """Of each of D detections the highest IoU with a true box of a sort, and that box: (D,); 0 and -1 if it overlaps none."""

    iou: NDArray[np.float64]
    truth: NDArray[np.int64]

    @classmethod
    def among(cls, pairs: Overlaps, detections: int, counts: NDArray[np.bool_]) -> _Nearest:
        """From the pairs of that sort. Of true boxes with equal IoU the first that counts, (G,), else the first."""
        order = np.lexsort((~counts[pairs.other], -pairs.iou, pairs.box))
        box, first = np.unique(pairs.box[order], return_index=True)
        best = order[first]
        nearest = cls(np.zeros(detections), np.full(detections, -1))
        nearest.iou[box], nearest.truth[box] = pairs.iou[best], pairs.other[best]
        return nearest


def _nearest(matching: Matching) -> tuple[_Nearest, _Nearest]:
    """The nearest true box of the same label, and that of another label, crowds left out."""
    matches, pairs = matching.matches, matching.overlaps
    alike = matches.label[pairs.box] == matches.truth_label[pairs.other]
    sorts = alike, ~alike & ~matching.crowd[pairs.other]
    same, other = (_Nearest.among(pairs.keep(sort), len(matches.image), matches.truth_counts[0]) for sort in sorts)
    return same, other


def _kinds(matches: Matches, same: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.int64]:
    """The type of each false positive, an index into `FALSE`, and -1 for all other detections: int64 (D,)."""
    conditions = [
        matches.hit[0, 0] | matches.ignored[0, 0],
        (same >= BACKGROUND) & (same <= FOREGROUND),
        other >= FOREGROUND,
        same > FOREGROUND,  # the box was taken, or this detection would have matched it
        other <= BACKGROUND,
    ]
    return np.select(conditions, [-1, PLACE, CLASS, DUPLICATE, SPURIOUS], BOTH)


def _first(aims: NDArray[np.int64], score: NDArray[np.float64], position: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of the detections that aim at the same true box, the one of highest score; of equal ones that of lowest position: bool (D,)."""
    order = np.lexsort((position, -score, aims))
    first = np.zeros(len(aims), np.bool_)
    first[order[np.unique(aims[order], return_index=True)[1]]] = True
    return first & (aims >= 0)


@dataclass(frozen=True, eq=False)
class _Costs:
    """What is needed to correct the errors of a type.

    kinds: int64 (D,), types of the detections. becomes: int64 (D,), the true box that a correction gives to a detection, or -1.
    missed: bool (G,), not matched. uncovered: bool (G,), missed, and matched by no correction.
    """

    matches: Matches
    kinds: NDArray[np.int64]
    becomes: NDArray[np.int64]
    missed: NDArray[np.bool_]
    uncovered: NDArray[np.bool_]

    def means(self, categories: int) -> tuple[float | None, dict[str, float]]:
        """AP and the rises of AP, as means over the categories with true boxes."""
        truths = np.bincount(self.matches.truth_label[self.matches.truth_counts[0]], minlength=categories)
        known = np.flatnonzero(truths)
        if not len(known):
            return None, {}
        each = [self.of_label(int(label), int(truths[label])) for label in known]
        base = float(np.mean([ap for ap, _ in each]))
        return base, {name: float(np.mean([fixed[name] - ap for ap, fixed in each])) for name in each[0][1]}

    def of_label(self, label: int, truths: int) -> tuple[float, dict[str, float]]:
        """AP of a label, and AP after each correction. truths: the number of its true boxes."""
        own = (self.matches.label == label) & ~self.matches.ignored[0, 0]
        none = np.zeros_like(own)
        fixed = {}
        for kind, name in enumerate(FALSE):
            gained = (self.kinds == kind) & (self.becomes >= 0) & (self.matches.truth_label[self.becomes] == label)
            fixed[name] = self.ap(label, own & (self.kinds != kind), gained, truths)
        of_label = self.matches.truth_label == label
        fixed["missed"] = self.ap(label, own, none, truths - int((self.uncovered & of_label).sum()))
        fixed["false_positive"] = self.ap(label, own & self.matches.hit[0, 0], none, truths)
        fixed["false_negative"] = self.ap(label, own, none, truths - int((self.missed & of_label).sum()))
        return self.ap(label, own, none, truths), fixed

    def ap(self, label: int, kept: NDArray[np.bool_], gained: NDArray[np.bool_], truths: int) -> float:
        """AP of the detections in `kept`, and of those in `gained` as true positives; on equal scores the label's own come first."""
        if not truths:
            return 0.0
        rows = np.flatnonzero(kept | gained)
        rows = rows[np.lexsort((self.matches.label[rows] != label, -self.matches.score[rows]))]
        hit = (self.matches.hit[0, 0] | gained)[rows]
        return float(precision_curve(hit, np.ones_like(hit), truths).mean())
