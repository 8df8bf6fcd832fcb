"""AppleBBCH81: 320 of its crops, split by orchard row.

The publishers' own split puts overlapping crops of one photograph on both sides, so it is not used. `applebbch81.csv` has the chosen
crops: at least 3 boxes, no shared pixels, few unlabelled apples; test rows 3 7 11 12 38 39, training rows 1 4 8 9 10 13 36 37.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench import CocoFolder, Remote, RemoteFile, Splits, SynthbenchError

from synthbench_datasets.folders import About, Box, Labelled, in_pixels, write_coco, yolo_boxes

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_datasets import AppleBBCH81

COMMIT = "982445d15077531a3bff0da27aa1764c64863fca"
ADDRESS = f"https://raw.githubusercontent.com/ai-agriculture-circuits-and-systems/AppleBBCH81/{COMMIT}/data"
SIDE = 640  # pixels, of every crop
SLIVER = 8  # pixels: what is narrower and touches the edge is the rest of an apple in the next crop
TREE = r"(\d+kv\d+r\d+k)"  # in a file name: flight, row and tree
SPLITS = ("train", "test")
ABOUT = About(
    description="AppleBBCH81, 320 of its crops, split by orchard row",
    url="https://doi.org/10.3390/drones8120734",
    license=("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
)


@dataclass(frozen=True)
class Crop:
    """A chosen crop. bytes, sha256: of the JPEG file. boxes: how many; sum: of x, y, width and height of all, to 0.01 pixels each."""

    split: str
    name: str
    bytes: int
    sha256: str
    boxes: int
    sum: float


@cache
def crops() -> tuple[Crop, ...]:
    """The chosen crops."""
    with Path(__file__).with_name("applebbch81.csv").open(newline="") as file:
        return tuple(
            Crop(row["split"], row["name"], int(row["bytes"]), row["sha256"], int(row["boxes"]), float(row["sum"]))
            for row in csv.DictReader(file)
        )


def remote() -> Remote:
    """The files to fetch. The photographs' checksums are known; those of the label files are not, but their boxes are compared."""
    images = [
        RemoteFile(
            name=f"images/{crop.name}.jpg",
            address=f"{ADDRESS}/images/{crop.name}.jpg",
            size=crop.bytes,
            digest=f"sha256:{crop.sha256}",
        )
        for crop in crops()
    ]
    labels = [RemoteFile(name=f"labels/{crop.name}.txt", address=f"{ADDRESS}/labels/{crop.name}.txt") for crop in crops()]
    return Remote(
        name="applebbch81",
        title="AppleBBCH81",
        files=(*images, *labels),
        size="28 MB and the label files",
        license="CC BY 4.0",
        terms="Credit S. Kodors et al. (Drones 8(12), 734, 2024, https://doi.org/10.3390/drones8120734), and say that it is a subset.",
    )


def make(downloads: Path, folder: Path) -> None:
    """Makes a COCO folder of the fetched files."""
    (folder / "images").mkdir()
    labelled: dict[str, list[Labelled]] = {split: [] for split in SPLITS}
    for crop in crops():
        shutil.copyfile(downloads / f"images/{crop.name}.jpg", folder / f"images/{crop.name}.jpg")
        labelled[crop.split].append(Labelled(f"{crop.name}.jpg", SIDE, SIDE, boxes_in(downloads / f"labels/{crop.name}.txt")))
    for split in SPLITS:
        write_coco(folder / f"{split}.json", labelled[split], ABOUT)


def boxes_in(path: Path) -> list[Box]:
    """The boxes of a label file in pixels, to two digits, without slivers at the crop's edge."""
    found = []
    for share in yolo_boxes(path):
        x, y, width, height = (round(value, 2) for value in in_pixels(share, SIDE, SIDE))
        at_edge = x <= 0 or y <= 0 or x + width >= SIDE - 0.01 or y + height >= SIDE - 0.01
        if not (min(width, height) < SLIVER and at_edge):
            found.append((x, y, width, height))
    return found


def check_names(folder: Path) -> None:
    """Raises SynthbenchError if the photographs in a folder are not these."""
    expected = {split: {f"{crop.name}.jpg" for crop in crops() if crop.split == split} for split in SPLITS}
    for split in SPLITS:
        try:
            names = {image["file_name"] for image in json.loads((folder / f"{split}.json").read_text())["images"]}
        except OSError as error:
            raise SynthbenchError(f"{folder}: no {split}.json ({error.strerror}); for other photographs: --set data.use=coco") from None
        except (ValueError, LookupError, TypeError):
            raise SynthbenchError(f"{folder / split}.json: is not COCO; for other photographs: --set data.use=coco") from None
        if names != expected[split]:
            raise SynthbenchError(f"{folder / split}.json: other photographs than AppleBBCH81's: add --set data.use=coco")


def load(options: AppleBBCH81, run: Run) -> Splits:
    """See `AppleBBCH81.load`."""
    source = remote()
    folder = options.path or source.ready(run, make)
    check_names(folder)
    if others := list(other_boxes(folder)):
        run.note(f"AppleBBCH81: {len(others)} of {len(crops())} crops have other boxes than in the published report, first {others[0]}")
    return CocoFolder(path=folder, resize=options.resize, group=TREE).load(run)


def other_boxes(folder: Path) -> list[str]:
    """The crops whose boxes are not those that were known when this was written."""
    found: dict[str, list[Box]] = {}
    for split in SPLITS:
        content = json.loads((folder / f"{split}.json").read_text())
        names = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
        for row in content["annotations"]:
            found.setdefault(names[row["image_id"]], []).append(row["bbox"])
    return [
        crop.name
        for crop in crops()
        if len(boxes := found.get(crop.name, [])) != crop.boxes or abs(sum(map(sum, boxes)) - crop.sum) > 0.04 * crop.boxes
    ]
