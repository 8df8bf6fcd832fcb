"""A suite, its data and its training sets as results store them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthbench.contract.options import option_values
from synthbench.results import model
from synthbench.results.starting_weights import trained_on
from synthbench.suite.model import Entry, Suite
from synthbench.suite.training_sets import Draw, TrainingSet


def describe_suite(suite: Suite) -> model.SuiteInfo:
    """What was compared, with every default."""
    settings, seeds = suite.settings, suite.seeds
    return model.SuiteInfo(
        name=suite.name,
        file=str(without_folders(suite.file)),
        title=settings.title,
        about=settings.about,
        caveat=settings.caveat,
        seeds=model.Seeds(references=seeds.references, generators=seeds.generators, detectors=seeds.detectors),
        references=settings.references,
        reference_choice=settings.reference_choice,
        images=settings.images,
        holdout=settings.holdout,
        margin=settings.margin,
        timeout=settings.timeout,
        data=describe_entry(suite.data),
        generators=[describe_entry(entry) for entry in suite.generators],
        annotators=[describe_entry(entry) for entry in suite.annotators],
        detectors=[describe_entry(entry) for entry in suite.detectors],
    )


def describe_entry(entry: Entry) -> model.EntryInfo:
    """A configured plugin: where it comes from, and every option with its value."""
    info = entry.info
    options = {name: without_folders(value) for name, value in option_values(entry.plugin).items()}
    return model.EntryInfo(
        name=entry.name,
        plugin=info.name,
        version=info.cls.version,
        license=info.cls.license,
        distribution=info.distribution,
        release=info.release,
        rival=getattr(info.cls, "rival", False),
        options=json.loads(json.dumps(options)),
        trained_on=trained_on(entry.plugin),
    )


def without_folders(value: Any) -> Any:
    """A path without the folders that say more of a machine than of a result."""
    if isinstance(value, (list, tuple)):
        return [without_folders(each) for each in value]
    if isinstance(value, str) and Path(value).is_absolute():
        with suppress(ValueError):
            return Path(value).relative_to(Path.cwd()).as_posix()
        return Path(value).name
    return value


def describe_data(facts: dict[str, Any]) -> model.DataInfo:
    """What the data stage wrote."""
    return model.DataInfo(
        categories=list(facts["categories"]),
        rendered=facts["rendered"],
        license=facts["license"],
        source=facts["source"],
        train=model.SplitCounts(**facts["train"]),
        test=model.SplitCounts(**facts["test"]),
        published=[model.Published(**score) for score in facts.get("published", [])],
    )


def describe_training_set(row: TrainingSet) -> model.TrainingSetInfo:
    """A row."""
    return model.TrainingSetInfo(
        name=row.name,
        kind=row.kind,
        generator=row.generator,
        annotator=row.annotator,
        parts=[part.name for part in row.parts],
        images=row.generated_images or row.images,
        whole=row.whole,
    )


def describe_draw(draw: Draw) -> model.Draw:
    """The seeds of a training set."""
    return model.Draw(references=draw.references, generator=draw.generator)
