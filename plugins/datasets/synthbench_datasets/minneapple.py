"""MinneApple: two archives of the University of Minnesota, instance masks to boxes, videos as groups.

Training boxes are made of the masks in `detection.tar.gz`; those of the test photographs were published later, in `test_data.zip`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from synthbench import CocoFolder, PublishedScore, Remote, RemoteFile, Splits, SynthbenchError, unpack

from synthbench_datasets.folders import About, Box, Labelled, write_coco

if TYPE_CHECKING:
    from synthbench import Run

    from synthbench_datasets import MinneApple

# doi 10.13020/8ecp-3r13
ADDRESS = "https://conservancy.umn.edu/server/api/core/bitstreams/{}/content"
PHOTOGRAPHS = RemoteFile(
    name="detection.tar.gz",
    address=ADDRESS.format("3ef26f04-6467-469b-9857-f443ffa1bb61"),
    digest="md5:d24a2f70144f1a3c5a52ffef66c50630",
)
TEST = RemoteFile(
    name="test_data.zip",
    address=ADDRESS.format("7856047c-1f23-43ef-a50d-9327ec2ae0ff"),
    digest="md5:0c24727552bc3e94cad6d8f1c851c887",
)
LARGEST = 16 << 30  # bytes unpacked; the archives have 1.8 and 1.25 GB
VIDEO = "(.*)_"  # in a file name, up to the last underscore: the video that it is a frame of
KNOWN = {"train": (670, 28_179), "test": (331, 12_285)}  # images and boxes, as counted by others; a difference is noted
ABOUT = About(
    description="MinneApple (Häni, Roy, Isler 2019), boxes around its instance masks",
    url="https://doi.org/10.13020/8ecp-3r13",
    license=("CC BY-NC-SA 3.0 US", "https://creativecommons.org/licenses/by-nc-sa/3.0/us/"),
)
BASELINES = "the authors' repository, github.com/nicolaihaeni/MinneApple"
PUBLISHED = (
    PublishedScore(method="Faster R-CNN, ResNet-50, from COCO weights", source=BASELINES, AP=0.438, AP50=0.775, AP75=0.455),
    PublishedScore(method="Mask R-CNN, ResNet-50, from COCO weights", source=BASELINES, AP=0.433, AP50=0.763, AP75=0.449),
    PublishedScore(method="Tiled Faster R-CNN, ResNet-50", source=BASELINES, AP=0.341, AP50=0.639, AP75=0.339),
)


def remote(*, with_test: bool = True) -> Remote:
    """The archives to fetch."""
    return Remote(
        name="minneapple" if with_test else "minneapple-train",
        title="MinneApple",
        files=(PHOTOGRAPHS, TEST) if with_test else (PHOTOGRAPHS,),
        size="about 3 GB" if with_test else "about 1.8 GB",
        license="CC BY-NC-SA 3.0 US",
        terms="Not for commercial purposes; credit Häni, Roy, Isler (arXiv 1909.06441), and share changed versions alike.",
    )


def make(run: Run) -> Callable[[Path, Path], None]:
    """What makes a COCO folder of the archives and shows how far it is."""

    def make(downloads: Path, folder: Path) -> None:
        raw = folder / "raw"
        for name in run.track(unpack(downloads / PHOTOGRAPHS.name, raw, photograph, largest=LARGEST), "unpack", unit="files"):
            del name
        (folder / "images").mkdir()
        masks = sorted((raw / "train/masks").glob("*.png"))
        images = sorted((raw / "train/images").glob("*.png"))
        if not images or [path.name for path in masks] != [path.name for path in images]:
            raise SynthbenchError(f"{PHOTOGRAPHS.name}: has {len(images)} training images and {len(masks)} masks, which should be pairs")
        labelled = [_labelled(image, mask_boxes(raw / "train/masks" / image.name)) for image in run.track(images, "masks", unit="images")]
        write_coco(folder / "train.json", labelled, ABOUT)
        if (downloads / TEST.name).is_file():
            tests = sorted((raw / "test/images").glob("*.png"))
            boxes = test_boxes(downloads / TEST.name, raw / "labels", {path.name for path in tests}, run)
            write_coco(folder / "test.json", [_labelled(path, boxes[path.name]) for path in tests], ABOUT)
            images += tests
        for image in images:
            image.rename(folder / "images" / image.name)
        shutil.rmtree(raw)

    return make


def photograph(name: str) -> str | None:
    """Where a member of `detection.tar.gz` goes: `train/images`, `train/masks` and `test/images`."""
    found = re.search(r"(?:^|/)(train/images|train/masks|test/images)/([^/]+\.png)$", name)
    return None if found is None or found[2].startswith("._") else f"{found[1]}/{found[2]}"


def label(name: str) -> str | None:
    """Where a member of `test_data.zip` goes: JSON, and PNG files in a folder of masks."""
    path = PurePosixPath(name)
    if path.name.startswith("._") or "__MACOSX" in path.parts:
        return None
    return name if path.suffix == ".json" or (path.suffix == ".png" and "masks" in path.parts) else None


def mask_boxes(path: Path) -> list[Box]:
    """A box around each instance of a mask, whose pixels are the instance's number, 0 where there is none.

    Instances one pixel wide or high are left out, as the authors' own loader does. Raises SynthbenchError for a mask in colour.
    """
    import numpy as np
    from PIL import Image
    from scipy import ndimage

    with Image.open(path, formats=["PNG"]) as file:
        mask = np.asarray(file)
    if mask.ndim != 2:
        raise SynthbenchError(f"{path.name}: a mask of {mask.ndim} dimensions; its pixels should be numbers of instances")
    found = [each for each in ndimage.find_objects(mask.astype(np.int32)) if each is not None]
    boxes = [(float(x.start), float(y.start), float(x.stop - x.start), float(y.stop - y.start)) for y, x in found]
    return [box for box in boxes if min(box[2:]) > 1]


def test_boxes(archive: Path, folder: Path, names: set[str], run: Run) -> dict[str, list[Box]]:
    """The boxes of the test photographs by file name: of the masks in the archive, or of its COCO file if it has no masks for them.

    Raises SynthbenchError if neither has all of the photographs.
    """
    members = list(run.track(unpack(archive, folder, label, largest=LARGEST), "unpack labels", unit="files"))
    by_folder: dict[Path, set[str]] = {}
    for path in (folder / member for member in members if member.endswith(".png")):
        by_folder.setdefault(path.parent, set()).add(path.name)
    for masks, held in sorted(by_folder.items()):
        if names <= held:
            return {name: mask_boxes(masks / name) for name in run.track(sorted(names), "test masks", unit="images")}
    for path in sorted(folder / member for member in members if member.endswith(".json")):
        if (boxes := dict(_coco_boxes(path))) and names <= boxes.keys():
            return {name: boxes[name] for name in names}
    raise SynthbenchError(
        f"{archive.name}: neither a folder of masks nor a COCO file in it has all {len(names)} test photographs; "
        f"it has {', '.join(sorted({str(PurePosixPath(each).parent) for each in members})[:8]) or 'no labels'}"
    )


def _coco_boxes(path: Path) -> Iterator[tuple[str, list[Box]]]:
    """File names and boxes of a COCO file; nothing if it is another JSON file."""
    try:
        content = json.loads(path.read_text())
        boxes: dict[int, list[Box]] = {image["id"]: [] for image in content["images"]}
        for row in content["annotations"]:
            x, y, width, height = row["bbox"]
            boxes[row["image_id"]].append((float(x), float(y), float(width), float(height)))
        yield from [(PurePosixPath(image["file_name"]).name, boxes[image["id"]]) for image in content["images"]]
    except (ValueError, LookupError, TypeError):
        return


def _labelled(image: Path, boxes: list[Box]) -> Labelled:
    from PIL import Image

    with Image.open(image, formats=["PNG"]) as file:
        return Labelled(image.name, *file.size, boxes)


def source(options: MinneApple) -> Remote | None:
    """What the options need: without test photographs one archive is enough, unless both are here already."""
    if options.path:
        return None
    whole = remote()
    return remote(with_test=False) if options.test_videos and whole.missing else whole


def load(options: MinneApple, run: Run) -> Splits:
    """See `MinneApple.load`."""
    fetched = source(options)
    folder = options.path or (fetched.ready(run, make(run)) if fetched else Path())
    for split in ("train", "test"):
        if (file := folder / f"{split}.json").is_file():
            _note_counts(file, split, run)
    test = "train.json" if options.test_videos else "test.json"
    splits = CocoFolder(
        path=folder, test=test, resize=options.resize, tile=options.tile, tile_overlap=options.tile_overlap, group=VIDEO
    ).load(run)
    if options.test_videos:
        return by_video(splits, folder, options.test_videos)
    return splits if options.tile else replace(splits, published=PUBLISHED)


def by_video(splits: Splits, folder: Path, videos: Collection[str]) -> Splits:
    """The training photographs, with some videos as the test set. Raises SynthbenchError for a video that does not exist."""
    names = {re.match(VIDEO, image["file_name"]) for image in json.loads((folder / "train.json").read_text())["images"]}
    known = sorted({found[1] for found in names if found})
    if unknown := [video for video in videos if video not in known]:
        raise SynthbenchError(f"minneapple: test_videos: no video '{unknown[0]}'; known: {', '.join(known)}")
    if len(set(videos)) == len(known):
        raise SynthbenchError("minneapple: test_videos: names all videos, so none is left to train on")
    return replace(
        splits,
        train=(sample for sample in splits.train if sample.about["group"] not in videos),
        test=(sample for sample in splits.test if sample.about["group"] in videos),
    )


def _note_counts(file: Path, split: str, run: Run) -> None:
    """Notes if the data have other counts than others found in them."""
    content = json.loads(file.read_text())
    found = len(content["images"]), len(content["annotations"])
    if found != KNOWN[split]:
        images, boxes = KNOWN[split]
        run.note(f"MinneApple, {split}: {found[0]} images with {found[1]} boxes; others have counted {images} with {boxes}")
