"""Writes a bundle from a report's results and the store that they came from."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.files import replacing
from synthbench.planning.stage import METRICS_VERSION
from synthbench.publishing import previews
from synthbench.publishing.predictions import encode_predictions
from synthbench.publishing.submission import (
    ARTIFACTS,
    BUNDLE,
    LARGEST_BUNDLE,
    RESULTS,
    TRUTH,
    Author,
    Member,
    StageFiles,
    Submission,
    TestData,
    Tries,
)
from synthbench.publishing.truth import TrueImage, Truth, may_be_passed_on
from synthbench.results.files import read_results
from synthbench.results.model import Results
from synthbench.storage.boxes import read_boxes
from synthbench.storage.coco import names_of, read_groups, read_set
from synthbench.storage.references import ArtifactRef, find
from synthbench.storage.store import Artifact, Store
from synthbench.storage.views import BOXES

DATE = (1980, 1, 1, 0, 0, 0)
"""Of every member, so that the same content gives the same file."""


@dataclass(frozen=True)
class Packed:
    """A bundle before it is written. members: the content of each."""

    submission: Submission
    members: Mapping[str, bytes] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes, unpacked."""
        return sum(map(len, self.members.values()))


def pack(path: Path, store: Store, keys: list[tuple[str, str]], author: Author, *, with_truth: bool | None = None) -> Packed:
    """The bundle of the results in `path`, whose stages are in `store`; nothing is written.

    keys: kind and key of everything in the store. with_truth: whether the test images' boxes, and thumbnails of real images, are passed
    on; None: if the licence of the data is known to allow it.
    Raises SynthbenchError if a stage that the results name is not in the store, or is damaged.
    """
    results = read_results(path)
    if results.data is None or not any(cell.metrics for cell in results.cells):
        raise SynthbenchError(f"{path}: no cell has a score, so there is nothing to publish")
    data = find(store, reference_to("data", results, path))
    truth = truth_in(data)
    allowed = results.data.rendered or may_be_passed_on(results.data.license)
    included = allowed if with_truth is None else with_truth
    members = {RESULTS: msgspec.json.format(msgspec.json.encode(results), indent=1), ARTIFACTS: artifacts_of(results, store)}
    for key in dict.fromkeys(cell.keys.predict for cell in results.cells if cell.metrics):
        boxes = read_boxes(find(store, ArtifactRef(kind="predict", key=key)).folder / BOXES)
        members[f"predictions/{key}.npy"] = encode_predictions(boxes)
    if included:
        members[TRUTH] = msgspec.json.encode(truth)
    members |= previews.pictures(results, path.with_suffix(""), data.folder / "test", with_real=included)
    reason = "" if included else reason_of(results.data.license, refused=with_truth is False)
    submission = Submission(
        synthbench=results.environment.synthbench,
        metrics=METRICS_VERSION,
        author=author,
        test=TestData(
            fingerprint=truth.fingerprint,
            images=len(truth.images),
            boxes=sum(len(image.boxes) for image in truth.images),
            included=included,
            reason=reason,
        ),
        tries=tries(results, store, keys, data.record.key),
        members={name: Member.of(content) for name, content in sorted(members.items())},
    ).sealed
    packed = Packed(submission, members)
    if packed.size > LARGEST_BUNDLE:
        raise SynthbenchError(f"{path}: its bundle would have {packed.size >> 20} MB, more than {LARGEST_BUNDLE >> 20}")
    return packed


def write_bundle(packed: Packed, path: Path) -> None:
    """Writes the file: members in the order of their names, all of one date, so that the same content gives the same bytes."""
    members = {BUNDLE: msgspec.json.format(msgspec.json.encode(packed.submission), indent=1), **packed.members}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            archive.writestr(info, members[name])


def reference_to(kind: str, results: Results, path: Path) -> ArtifactRef:
    """The stage of a kind that there is one of."""
    for stage in results.stages:
        if stage.kind == kind:
            return ArtifactRef(kind=kind, key=stage.key)
    raise SynthbenchError(f"{path}: names no stage '{kind}'; run the suite again to renew it")


def truth_in(data: Artifact) -> Truth:
    """The truth about the test images in the artifact of a data stage."""
    folder = data.folder / "test"
    images = read_set(folder)
    groups = read_groups(folder) or [""] * len(images)
    seen = [
        TrueImage.of(name, (picture.width, picture.height), group, picture.boxes)
        for name, group, picture in zip(names_of(folder), groups, images, strict=True)
        if picture.boxes is not None  # always: a test image without boxes is refused when it is loaded
    ]
    return Truth(categories=list(images.categories), images=seen)


def artifacts_of(results: Results, store: Store) -> bytes:
    """`artifacts.json`. A stage whose files are gone from the store is left out; predictions and data never are."""
    found = {}
    for stage in results.stages:
        if stage.state == "done" and (artifact := store.get(stage.kind, stage.key)) is not None:
            files = {name: file.sha256 for name, file in sorted(artifact.record.files.items())}
            found[stage.key] = StageFiles(kind=stage.kind, label=stage.label, files=files)
    return msgspec.json.format(msgspec.json.encode(dict(sorted(found.items()))), indent=1)


def tries(results: Results, store: Store, keys: list[tuple[str, str]], data: str) -> Tries:
    """How many trainings were scored on this test set."""
    known = 0
    for kind, key in keys:
        if kind != "score" or (artifact := store.get(kind, key)) is None:
            continue
        recipe = artifact.record.recipe
        known += recipe.get("reads", {}).get("truth") == data and "holdout" not in recipe
    return Tries(report=len({cell.keys.score for cell in results.cells if cell.metrics}), store=known)


def reason_of(license: str, *, refused: bool) -> str:
    """Why the truth is not in a bundle."""
    if refused:
        return "left out as asked"
    return f"the licence of the data ({license[:80]}) is not one that is known to allow copies" if license else "the data states no licence"


def contents(packed: Packed) -> list[tuple[str, int, int]]:
    """What a bundle contains, for a person: what, how many members, bytes."""
    titles = {
        RESULTS: "results",
        TRUTH: "true boxes of the test images",
        ARTIFACTS: "hashes of sampled images, weights and all other files",
        "predictions": "predictions on the test images",
        "pictures": "pictures",
    }
    found: dict[str, list[int]] = {}
    for name, content in packed.members.items():
        found.setdefault(titles[name.split("/")[0]], []).append(len(content))
    return [(title, len(sizes), sum(sizes)) for title, sizes in found.items()]
