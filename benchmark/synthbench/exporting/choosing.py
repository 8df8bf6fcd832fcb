"""What is exported: which generated set, which training of which detector, and what the report says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from synthbench.errors import SynthbenchError, suggest
from synthbench.planning.stage import key_of
from synthbench.reporting.scores import Scores
from synthbench.results.model import Cell, Results
from synthbench.storage.references import ArtifactRef, ViewRef
from synthbench.storage.store import Artifact, Store


@dataclass(frozen=True)
class Choice:
    """A cell that is exported, why this one, and its AP over all replicates.

    rival: the best set made without a generative model, if it reached more.
    """

    cell: Cell
    why: str
    mean_ap: float
    replicates: int
    rival: str = ""


def best_set(results: Results, name: str = "") -> Choice | None:
    """The generated set to export: the named one, or the best of those that the report's answer is about. None without any.

    Raises SynthbenchError if the named one does not exist or has no score.
    """
    scores, rival = Scores(results), None
    if name:
        known = scores.rows("generated")
        if name not in known:
            raise SynthbenchError(f"--training-set {name}: no generated set of this report{suggest(name, known)}")
        picks, why = [pick for pick in scores.picks("generated") if pick.row == name], "as asked"
        if not picks:
            raise SynthbenchError(f"--training-set {name}: no detector that was trained on it has a score")
    else:
        picks = scores.each_closest(scores.detectors)
        held_out = all(scores.held_out(pick.detector) for pick in picks)
        level = max((pick.score.mean for pick in picks), default=0.0)
        rival = next((pick.row for pick in scores.picks("generated") if pick.row in scores.rivals and pick.score.mean > level), None)
        what = "set of a generative model" if rival else "generated set"
        why = f"as the {what} with the highest AP{' (chosen on held-out images, then by AP on the test images)' * held_out}"
    best = max(picks, key=lambda pick: pick.score.mean, default=None)
    return None if best is None else replace(choice(scores, best.row, best.detector, why), rival=rival or "")


def best_detector(results: Results, detector: str = "", trained_on: str = "") -> Choice:
    """The training to export: of the named detector and training set, or that with the highest AP.

    Raises SynthbenchError if there is none.
    """
    scores = Scores(results)
    for option, name, known in (("--detector", detector, scores.detectors), ("--trained-on", trained_on, scores.rows())):
        if name and name not in known:
            raise SynthbenchError(f"{option} {name}: not in this report{suggest(name, known)}")
    picks = [pick for pick in scores.picks() if detector in ("", pick.detector) and trained_on in ("", pick.row)]
    if not picks:
        raise SynthbenchError("no such training has a score, so there is no detector to export")
    why = "as asked" if detector or trained_on else "as the training with the highest AP of the report"
    return choice(scores, picks[0].row, picks[0].detector, why)


def apart(results: Results, chosen: Choice, trained: Choice) -> str:
    """From what else than the exported set the exported detector learned; "" if from that alone."""
    own, its = chosen.cell, trained.cell
    if own.training_set == its.training_set:
        return "" if own.draw == its.draw else f"{its.training_set} with other seeds than this set"
    row = next(each for each in results.training_sets if each.name == its.training_set)
    of_it = "of which this set is a part" if own.training_set in row.parts else "a part of this set"
    return f"{row.name}, {of_it if own.training_set in (*row.parts, row.whole) else 'not on this set'}"


def choice(scores: Scores, row: str, detector: str, why: str) -> Choice:
    """The first replicate's cell that has a score: to take the best one would be to choose by the test images once more."""
    score = scores.of(row, detector)
    assert score is not None, "what was picked has a score"
    cell = next(cell for cell in scores.cells(row, detector) if cell.metrics)
    return Choice(cell, why, score.mean, len(score.values))


def views_of(results: Results, trained: Artifact, store: Store) -> list[ViewRef]:
    """The images and boxes that a training read, as it stored it. Raises SynthbenchError if they are not in the store any more."""
    recipe: Mapping[str, list[Mapping[str, object]]] = trained.record.recipe.get("views", {})
    found = []
    for view in recipe.get("data", []):
        images, first, boxes = images_of(str(view["images"]), results, store), view["first"], str(view["boxes"])
        found.append(
            ViewRef(
                images=images,
                boxes="own" if boxes == "own" else reference_to(boxes, results),
                first=first if isinstance(first, int) else None,
            )
        )
    return found


def images_of(key: str, results: Results, store: Store) -> ArtifactRef:
    """The stage that holds images: its key, or that of the series that it belongs to."""
    for stage in results.stages:
        if stage.key == key:
            return ArtifactRef(kind=stage.kind, key=key)
    for stage in results.stages:
        if stage.kind == "sample" and (artifact := store.get("sample", stage.key)) is not None:
            recipe = artifact.record.recipe
            if key_of({name: value for name, value in recipe.items() if name != "count"}) == key:
                return ArtifactRef(kind="sample", key=stage.key)
    raise SynthbenchError(f"the images {key[:10]} are in no stage of this report that is still in the store; run the suite again")


def reference_to(key: str, results: Results) -> ArtifactRef:
    """A stage of the report by its key."""
    for stage in results.stages:
        if stage.key == key:
            return ArtifactRef(kind=stage.kind, key=key)
    raise SynthbenchError(f"the stage {key[:10]} is not in this report; run the suite again")
