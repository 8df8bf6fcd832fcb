"""Asks people for labels: writes a batch's folder, for Label Studio and for every tool that reads COCO or YOLO.

Nothing that this program did not write is changed or removed, and `answers.json` never is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from synthbench.errors import SynthbenchError
from synthbench.files import replacing, write_bytes
from synthbench.labelling import coco, label_studio, yolo
from synthbench.labelling.answers import Answers, read_answers
from synthbench.labelling.batch import README, Asked, Batch, write_batch

LEVELS = 3  # of folders: suite, annotator, batch
TASKS, CONFIGURATION, COCO, YOLO = "label-studio.json", "label-studio.xml", "coco.json", "data.yaml"


def export_batch(folder: Path, batch: Batch, sources: Sequence[Path]) -> int:
    """Writes a batch with copies of the image files `sources`, one for each image; returns how many images have no answer yet.

    An image that has an answer is in `asked.json`, but not in what tools load. Raises SynthbenchError if it cannot be written.
    """
    answers = read_answers(folder)
    missing = [each for each in batch.images if not is_answered(each, answers)]
    for image, source in zip(batch.images, sources, strict=True):
        copy(source, folder / image.file)
    write_batch(folder, batch)
    write_json(folder / TASKS, label_studio.tasks(batch, missing, "/".join(folder.parts[-LEVELS:])))
    write_bytes(folder / CONFIGURATION, label_studio.configuration(batch.categories).encode())
    write_json(folder / COCO, coco.dataset(batch, missing))
    write_bytes(folder / YOLO, yolo.description(batch.categories).encode())
    for image in missing:
        path = folder / "labels" / f"{image.id}.txt"
        if image.drawn is not None and not path.exists():  # in some tools people change these files themselves
            write_bytes(path, yolo.lines(batch, image).encode())
    write_bytes(folder / README, instructions(batch, len(missing)).encode())
    return len(missing)


def is_answered(image: Asked, answers: Answers | None) -> bool:
    """Whether an image has an answer."""
    return answers is not None and image.number in answers.answers and answers.answers[image.number].sha256 == image.sha256


def copy(source: Path, target: Path) -> None:
    """Copies a file unless one of that name is there, which has the same content: the name has its hash."""
    if not target.exists():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def write_json(path: Path, value: object) -> None:
    """Writes a value as JSON."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def instructions(batch: Batch, missing: int) -> str:
    """How to label a batch, as Markdown."""
    drawn = f"with the boxes of `{batch.pre_labels}`, to be corrected" if batch.pre_labels else "without boxes"
    return f"""\
# Label {missing} images of {batch.generator} for {batch.annotator}

`images/` has {len(batch.images)} images, {missing} of them without an answer yet, {drawn}.
Draw a box around each object, labelled {" or ".join(f"`{name}`" for name in batch.categories)}.
An image in which there is nothing is submitted without boxes: that is an answer, too.

## With Label Studio

In the folder that has all labels, three above this file (tried with Label Studio 1.23.2; once it is installed it needs no network):

```bash
{start_command()}
```

It goes on until Ctrl-C, and serves the images of all batches. At http://localhost:8080, sign up (the account stays on this machine)
and create a project. In the project:

1. Settings > Labeling Interface > Code: paste `{CONFIGURATION}` and save.
2. Settings > Cloud Storage > Add Source Storage > Local Files: the absolute path of `images/` in this folder. Save it without
   synchronizing: it only allows the images to be shown.
3. Import `{TASKS}`. Boxes that were drawn before are predictions, which a task that is opened takes over.
4. Label, and **submit** each image. Then Export > **JSON**, which alone says which images were looked at; `JSON-MIN` is not read.

## With another tool

`{COCO}` is a COCO file of the images and boxes, `{YOLO}` with `images/` and `labels/` a YOLO data set. Save COCO, YOLO or CVAT's XML
(`CVAT for images 1.1`), and keep the images' file names: they are ids.

## Take the answers

```bash
synthbench label import ANSWERS
```

and run the suite again. Keep `answers.json`, which that writes here; `images/` and the rest can be made again.
"""


def start_command() -> str:
    """How to install and start Label Studio, in the folder of all batches: one serves them all."""
    settings = 'LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="$PWD"'
    return f"uv tool install label-studio==1.23.2\n{settings} label-studio start"


def check_is_folder(root: Path) -> None:
    """Raises SynthbenchError if there is no folder of batches."""
    if not root.is_dir():
        raise SynthbenchError(f"{root}: no such folder; `synthbench run` writes what is to be labelled there, and --labels names another")
