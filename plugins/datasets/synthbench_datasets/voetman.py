"""The images that Voetman, Aghaei and Dijkstra generated (arXiv 2306.09762), with the boxes that people drew on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench import Boxes, CocoFolder, Remote, RemoteFile, Sample, Splits, SynthbenchError

from synthbench_datasets.folders import About, Labelled, in_pixels, write_coco, yolo_boxes

if TYPE_CHECKING:
    from synthbench import Run, SampleRequest

    from synthbench_datasets import VoetmanData, VoetmanImages

REPOSITORY = "RoyVoetman/generated-apple-trees-fine-tuning"
COMMIT = "e8756aec3deba290d6abb160e84011daa6645cb1"
ADDRESS = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}"
COUNT = 535
EVERY = 5  # each fifth image is a test image
NO_LICENSE = "none stated"
ABOUT = About(
    description="535 generated images of apple trees with boxes by people (Voetman, Aghaei, Dijkstra, arXiv 2306.09762)",
    url=f"https://github.com/{REPOSITORY}",
    license=(NO_LICENSE, ""),
)


def remote() -> Remote:
    """The images and label files, numbered from 0."""
    names = [f"images/{number}_apple_sd.png" for number in range(COUNT)] + [f"labels/{number}_apple_sd.txt" for number in range(COUNT)]
    return Remote(
        name="voetman-generated",
        title="The generated images of Voetman et al.",
        files=[RemoteFile(name=name, address=f"{ADDRESS}/{name}") for name in names],
        license=NO_LICENSE,
        terms="Their repository has no licence file, so ask the authors before you pass on the images or what is trained on them.",
    )


def make(source: Path, folder: Path) -> None:
    """Makes a COCO folder of the repository's files."""
    from PIL import Image

    paths = sorted((source / "images").glob("*.png"), key=_number)
    if not paths:
        raise SynthbenchError(f"{source}: has no images/*.png")
    (folder / "images").mkdir()
    labelled = []
    for path in paths:
        labels = source / "labels" / f"{path.stem}.txt"
        if not labels.is_file():
            raise SynthbenchError(f"{labels}: no such file, so whether {path.name} is empty or was not labelled is not known")
        with Image.open(path, formats=["PNG"]) as file:
            width, height = file.size
        boxes = [in_pixels(box, width, height) for box in yolo_boxes(labels)]
        labelled.append(Labelled(path.name, width, height, [box for box in boxes if min(box[2:]) > 0]))
        shutil.copyfile(path, folder / "images" / path.name)
    write_coco(folder / "train.json", [each for number, each in enumerate(labelled) if number % EVERY], ABOUT)
    write_coco(folder / "test.json", labelled[::EVERY], ABOUT)


def _number(path: Path) -> tuple[int, str]:
    start = path.stem.split("_")[0]
    return (int(start) if start.isdigit() else -1), path.name


def load(options: VoetmanData, run: Run) -> Splits:
    """See `VoetmanData.load`."""
    run.note("The images are generated: figures say how well detectors and annotators do on these, not on photographs")
    return CocoFolder(path=options.path or remote().ready(run, make), resize=options.resize).load(run)


def fit(options: VoetmanImages, run: Run) -> None:
    """See `VoetmanImages.fit`."""
    if options.path is None:
        remote().ready(run, make)


def sample(options: VoetmanImages, request: SampleRequest, run: Run) -> Iterator[Sample]:
    """See `VoetmanImages.sample`."""
    import numpy as np

    if len(request.categories) != 1:
        raise SynthbenchError(f"voetman-generated: its boxes are of apples, and the data have {len(request.categories)} categories")
    folder = options.path or remote().ready(run, make)
    images = labelled_images(folder)
    if request.stop > len(images):
        raise SynthbenchError(f"voetman-generated: has {len(images)} images, and the suite asks for {request.stop}: set images to fewer")
    order = np.random.default_rng(run.seed).permutation(len(images)).tolist()
    for number in run.track(range(request.start, request.stop), "read", unit="images"):
        name, boxes = images[order[number]]
        yield Sample(folder / "images" / name, Boxes.of(boxes), {"file": name})


def labelled_images(folder: Path) -> list[tuple[str, list[list[float]]]]:
    """The file names of both splits with their boxes (x1, y1, x2, y2), in the order of their numbers."""
    found: dict[str, list[list[float]]] = {}
    for split in ("train", "test"):
        content = json.loads((folder / f"{split}.json").read_text())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        found |= {name: [] for name in names.values()}
        for row in content["annotations"]:
            x, y, width, height = row["bbox"]
            found[names[row["image_id"]]].append([x, y, x + width, y + height])
    return sorted(found.items(), key=lambda each: _number(Path(each[0])))
