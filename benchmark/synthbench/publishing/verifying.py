"""Whether a bundle's numbers hold, and how far that was checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synthbench.errors import SynthbenchError
from synthbench.planning.stage import METRICS_VERSION
from synthbench.publishing.consistency import contradictions
from synthbench.publishing.opening import Bundle
from synthbench.publishing.rescoring import NOT_SCORED_AGAIN, Rescored, rescore
from synthbench.publishing.sources import truth_from
from synthbench.publishing.submission import Submission
from synthbench.registry import installed

Level = Literal["self-reported", "re-scored", "re-run"]
IN_BUNDLE = "the true boxes in the bundle"
"""What a bundle's predictions are scored with where no data is named."""


@dataclass(frozen=True)
class Verification:
    """What was checked of a bundle.

    level: `self-reported`, it is whole, and nothing was scored; `re-scored`, all numbers that follow from the predictions hold.
    against: whose true boxes they were scored with. rescored: None if they could not be.
    problems: what does not hold, each with its place; empty if everything that was checked does.
    """

    submission: Submission
    level: Level
    against: str = ""
    rescored: Rescored | None = None
    problems: list[str] = field(default_factory=list)
    unchecked: tuple[str, ...] = NOT_SCORED_AGAIN

    @property
    def holds(self) -> bool:
        """Whether nothing was found that is wrong."""
        return not self.problems


def verify(path: Path, data: Path | None = None, *, processes: int = 1) -> Verification:
    """Checks every member, and scores the predictions again: with the data in a folder, or with the true boxes in the bundle.

    processes: see `rescore`. Raises SynthbenchError if the bundle is not whole, or `data` is not the data of its test images.
    """
    with Bundle(path) as bundle:
        bundle.check()
        submission = bundle.submission
        for cell in bundle.results.cells:
            if cell.metrics and not {cell.keys.predict, cell.keys.score} <= {*bundle.artifacts}:
                bundle.refuse(f"artifacts.json: lacks the stages of {cell.detector} on {cell.training_set}")
        if submission.metrics != METRICS_VERSION:
            raise SynthbenchError(
                f"{path}: was scored with version {submission.metrics} of the metrics; this synthbench has {METRICS_VERSION}, and scores "
                "of different versions are not comparable"
            )
        truth, against = bundle.truth, IN_BUNDLE
        if data is not None:
            truth, against = truth_from(bundle.results.suite.data, data, installed()), f"the true boxes in {data}"
            if truth.fingerprint != submission.test.fingerprint:
                raise SynthbenchError(
                    f"{data}: other test images than those of {path}: sizes or boxes differ ({len(truth.images)} images, "
                    f"{submission.test.images} in the bundle)"
                )
        wrong = contradictions(bundle, truth, installed())
        if truth is None or wrong:
            return Verification(submission, "self-reported", problems=wrong)
        found = rescore(bundle, truth, processes)
    problems = [str(each) for each in found.wrong]
    return Verification(submission, "self-reported" if problems else "re-scored", against, found, problems)
