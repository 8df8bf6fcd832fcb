"""What a person decides by: verdicts, what generated images are worth, and whether something simpler does as well."""

from __future__ import annotations

from synthbench.reporting import rivals, verdicts
from synthbench.reporting.marks import fold, picture
from synthbench.reporting.scores import Scores, listed
from synthbench.reporting.words import CHOSEN, DECIDED, FLATTERED
from synthbench.results.model import Results


def decision(results: Results, scores: Scores) -> list[str]:
    """The verdicts as tables and as pictures; nothing where nothing is generated."""
    if not scores.picks("generated", "mix"):
        return []
    several, grown = scores.replicates > 1, verdicts.by_images(scores)
    best = "dashed: the best generated set"
    if grown:
        best += ", dotted: fewer of its images, and of mixes (their generated images are counted)"
    band = f"bands: 95 % intervals; {best}" if several else best
    line = f"dashed: the margin of {scores.evidence.margin:g}; lines: 95 % intervals" if several else "one replicate, so no intervals"
    return [
        verdicts.by_detector(scores),
        CHOSEN.format(count=results.suite.holdout) if results.suite.holdout else FLATTERED,
        *(decided(scores) if several else []),
        picture(results, "worth", f"AP against the number of images, by detector ({band})."),
        picture(results, "differences", f"How far each training set is from the real images, in AP, by detector ({line})."),
        *([fold("The verdict on every generated training set", verdicts.of_every_set(scores))] if several else []),
        *([fold("AP by the number of generated images, and how many real images are worth as much", grown)] if grown else []),
    ]


def decided(scores: Scores) -> list[str]:
    """How the verdicts came about, and what makes them uncertain."""
    evidence = scores.evidence
    parts = [
        DECIDED.format(
            margin=evidence.margin,
            count=sum(each.training_set not in scores.rivals for each in evidence.verdicts),
            replicates=scores.replicates,
            images=evidence.images,
            groups=f", drawn in {evidence.groups} groups" if evidence.groups != evidence.images else "",
        )
    ]
    if (spread := evidence.variance) is not None:
        known = {
            "the detector's seed": spread.detector,
            "the choice of references": spread.references,
            "the generator's seed": spread.generator,
            "the choice of test images": spread.test_images,
        }
        told = [f"{thing} by {value:.3f}" for thing, value in known.items() if value is not None]
        parts += [f"What moves a single AP (standard deviations, rough with few replicates): {listed(told)}."] if told else []
    if evidence.same:
        parts.append(
            f"**Two trainings with different seeds or images predicted the very same boxes**: {listed(evidence.same)}. "
            "Does that plugin use its seed?"
        )
    return parts


def simpler(scores: Scores) -> list[str]:
    """Generative models against what does without."""
    found = rivals.compared(scores)
    return ["## Does something simpler do as well?", *found] if found else []
