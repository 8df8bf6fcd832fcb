"""The truth about the test images from the data itself: through the data source that the results name, with a folder of one's own."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path

from msgspec import structs

from synthbench.contract.images import read_header
from synthbench.contract.options import configure
from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError
from synthbench.execution.border import Border
from synthbench.execution.stage_run import StageRun
from synthbench.publishing.truth import TrueImage, Truth
from synthbench.registry import Registry
from synthbench.results.model import EntryInfo


def truth_from(source: EntryInfo, folder: Path | None, registry: Registry) -> Truth:
    """What an installed data source says of its test images. folder: replaces its option `path`; None for one that has no folder.

    Raises SynthbenchError if it is not installed, its options are of another version, or the data cannot be loaded.
    """
    info = registry.get("data-source", source.plugin)
    options = dict(source.options)
    if folder is not None:
        if "path" not in {field.name for field in fields(info.cls)}:
            raise SynthbenchError(f"{source.plugin} makes its images itself, so there is no folder to name: leave --data away")
        options["path"] = str(folder)
    plugin, problems = configure(info.cls, options)
    if plugin is None:
        raise SynthbenchError(f"{source.plugin}: its options in the bundle are not those of the installed version: {'; '.join(problems)}")
    with tempfile.TemporaryDirectory() as workdir:
        splits = plugin.load(StageRun(Path(workdir)))
        seen = []
        for number, sample in enumerate(Border(len(splits.categories)).samples(splits.test)):
            if isinstance(sample.image, Path):
                width, height = read_header(sample.image).upright
            else:
                height, width = sample.image.shape[:2]
            name, group = str(sample.about.get("file", f"image {number}")), str(sample.about.get("group", ""))
            seen.append(TrueImage.of(name, (width, height), group, sample.boxes or Boxes.none()))
    if not all(image.group for image in seen):  # as `read_groups` has it: all or none
        seen = [structs.replace(image, group="") for image in seen]
    return Truth(categories=list(splits.categories), images=seen)
