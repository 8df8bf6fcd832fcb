"""What people label: what waits, what they answered, and how far annotators agree with them."""

from __future__ import annotations

from typing import Any

from synthbench.execution.state import RunState
from synthbench.planning.people import Labelling
from synthbench.results import model
from synthbench.results.describe import describe_draw

LEVELS = 3  # the suite, the annotator, the batch


def describe_labelled(labelling: Labelling, state: RunState) -> model.Labelled:
    """A generator's images that people label."""
    artifact = state.artifacts.get(labelling.label.key)
    facts: dict[str, Any] = dict(artifact.record.facts) if artifact else {}
    asked = labelling.images.first
    assert asked is not None, "a generated set has a number of images"
    return model.Labelled(
        annotator=labelling.annotator,
        generator=labelling.generator,
        draw=describe_draw(labelling.draw),
        folder="/".join(labelling.folder.parts[-LEVELS:]),
        key=labelling.label.key,
        asked=asked,
        answered=labelling.answered,
        waiting=labelling.label.waits,
        pre_labels=labelling.pre_labels,
        agreement=[describe_agreement(name, stage.key, state) for name, stage in labelling.agree],
        **{name: facts[name] for name in ("empty", "boxes", "timed", "people_seconds", "tools") if name in facts},
    )


def describe_agreement(annotator: str, key: str, state: RunState) -> model.Agreement:
    """How an annotator's boxes compare with people's."""
    artifact = state.artifacts.get(key)
    facts: dict[str, Any] = dict(artifact.record.facts) if artifact else {}
    return model.Agreement(annotator=annotator, **facts)
