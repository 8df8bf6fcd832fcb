"""What a person decides by: verdicts, what generated images are worth, and whether something simpler does as well."""

from __future__ import annotations

from statistics import stdev

from synthbench.reporting import rivals, verdicts
from synthbench.reporting.alone import against_references
from synthbench.reporting.marks import fold, picture
from synthbench.reporting.scores import Scores, listed
from synthbench.reporting.words import CHOSEN, DECIDED, FLATTERED, NO_INTERVALS
from synthbench.results.model import Results


def decision(results: Results, scores: Scores) -> list[str]:
    """The verdicts as tables and as pictures; only how far the references fall behind where nothing is generated."""
    several = scores.has_intervals
    why = "one replicate" if scores.replicates == 1 else "too few test images"
    line = f"dashed: the margin of {scores.evidence.margin:g}; {'lines: 95 % intervals' if several else f'{why}, so no intervals'}"
    differences = picture(results, "differences", f"How far each training set is from the real images, in AP, by detector ({line}).")
    if not scores.picks("generated", "mix"):
        return [differences]
    grown, alone = verdicts.by_images(scores), against_references(scores)
    best = "dashed: the best generated set"
    closest = (pick.row for pick in scores.each_closest(scores.detectors))
    if any(scores.by_images(row) for row in (*closest, *scores.rows("mix"))):
        best += ", dotted: fewer of its images, and of mixes (their generated images are counted)"
    band = f"bands: 95 % intervals; {best}" if several else best
    means = decided(results, scores) if several else [NO_INTERVALS] if scores.replicates > 1 else []
    return [
        verdicts.by_detector(scores),
        chosen(results, scores),
        *means,
        picture(results, "worth", f"AP against the number of images, by detector ({band})."),
        differences,
        *([fold("The verdict on every generated training set", verdicts.of_every_set(scores))] if several else []),
        *([fold(f"Every training set against the {results.suite.references} references alone", alone)] if alone else []),
        *([fold("AP by the number of generated images, and how many real images are worth as much", grown)] if grown else []),
    ]


def chosen(results: Results, scores: Scores) -> str:
    """How the best generated set of each detector was chosen."""
    detectors = [each for each in scores.detectors if scores.closest(each)]
    by_test = [each for each in detectors if not scores.held_out(each)]
    if by_test == detectors:
        return FLATTERED
    lost = f" For {listed(by_test)} a score on them is missing, so it was chosen on the test images." if by_test else ""
    return CHOSEN.format(count=results.suite.holdout) + lost


def decided(results: Results, scores: Scores) -> list[str]:
    """How the verdicts came about, and what makes them uncertain."""
    evidence, seeds = scores.evidence, results.suite.seeds
    apart = sum(each.training_set in scores.tested_apart for each in evidence.verdicts)
    together = len(evidence.verdicts) - apart
    drawn = {
        "the references": seeds.references,
        "the seeds of the generators": seeds.generators,
        "the seeds of the detectors": seeds.detectors,
    }
    once = [thing for thing, each in drawn.items() if len(each) == 1]
    meant = DECIDED.format(
        margin=evidence.margin,
        tests=f"all {together or apart} combinations together{f', {apart} without a generative model apart' if together and apart else ''}",
        drawn=listed([thing for thing in drawn if thing not in once]),
        once=f" ({listed(once)} stayed the same in all, so nothing is known of others)" if once else "",
        replicates=scores.replicates,
        images=evidence.images,
        groups=f", drawn in {evidence.groups} groups" if evidence.groups != evidence.images else "",
    )
    parts = [meant] if evidence.verdicts else []
    if (spread := evidence.variance) is not None:
        known = {
            "the detector's seed": spread.detector,
            "the choice of references": spread.references,
            "the generator's seed": spread.generator,
            "the choice of test images": spread.test_images,
        }
        told = [f"{thing} by {_deviation(value)}" for thing, value in known.items() if value is not None]
        if told:
            what = "What moves a single AP (standard deviations, rough with few replicates)"
            parts.append(f"{what}: {listed(told)}{_by_detector(scores)}.")
    if evidence.same:
        parts.append(
            f"**Two trainings with different seeds or images predicted the very same boxes**: {listed(evidence.same)}. "
            "Does that plugin use its seed?"
        )
    return parts


def _by_detector(scores: Scores) -> str:
    """That the seed moves some detectors more than others, which the figures of all together hide; empty with one detector."""
    real = scores.of_kind("real")
    found = {each: score.values for each in scores.detectors if real and scores.learned(each) and (score := scores.of(real, each))}
    moved = {each: stdev(values) for each, values in found.items() if len(values) > 1}
    if len(moved) < 2:
        return ""
    least, most = min(moved, key=moved.__getitem__), max(moved, key=moved.__getitem__)
    return (
        f", all detectors together; the AP with `{real}` moves between replicates by {_deviation(moved[least])} with `{least}` and by "
        f"{_deviation(moved[most])} with `{most}`"
    )


def _deviation(value: float) -> str:
    """A standard deviation; an estimate of 0 says only that it is too small to be told from the others."""
    return f"{value:.3f}" if value >= 0.0005 else "too little to be told"


def simpler(scores: Scores) -> list[str]:
    """Generative models against what does without."""
    found = rivals.compared(scores)
    return ["## Does something simpler do as well?", *found] if found else []
