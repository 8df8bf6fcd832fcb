"""Times the import of a large COCO folder against `json.load` and reading the images' headers, and measures its memory.

Run by hand: `python tests/performance/bench_import.py [--images 100000] [--boxes 1000000] [--folder FOLDER]`. The folder is made if it is
not there; its images are small photographs' size, a few different ones, made different by their last bytes. Everything is done in fresh
processes, after the files were read once, so that the disk counts for neither side. The images are not compared by their looks: that
decodes each of them, which neither json.load nor headers do, and is off by default for so many.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DIFFERENT = 40
# VmHWM, since ru_maxrss of a new process begins with that of the one that started it.
PEAK = """
import json, sys, time
def peak():
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmHWM"))) / 1024
def clock():
    return [time.perf_counter(), time.process_time()]
start = clock()
"""
BASELINE = f"""{PEAK}
from PIL import Image
with open(sys.argv[1] + "/annotations.json") as file:
    content = json.load(file)
for image in content["images"]:
    with Image.open(sys.argv[1] + "/images/" + image["file_name"]) as opened:
        opened.size
print(json.dumps([[end - begin for begin, end in zip(start, clock())], peak()]))
"""
IMPORT = f"""{PEAK}
from pathlib import Path
from synthbench.curation.importing import Choices, import_folder
outcome = import_folder(Path(sys.argv[1]), Path(sys.argv[2]), Choices(duplicates=False))
counts = [len(outcome.dataset.photos), len(outcome.dataset.boxes), dict(outcome.faults.counts())]
print(json.dumps([[end - begin for begin, end in zip(start, clock())], peak(), counts]))
"""


def make(folder: Path, images: int, boxes: int) -> None:
    """A folder with one annotation file, three categories and no split; names as a camera gives them."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    stored = []
    for _ in range(DIFFERENT):
        noise = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        noise.save(buffer, "JPEG", quality=70)
        stored.append(buffer.getvalue())
    names = [f"row{number // 500:03d}/DSC_{number:06d}.jpg" for number in range(images)]
    for number, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        # a comment before the end of the image, so that each file has other bytes, and its own size
        comment = random.Random(number).randbytes(16 + number % 3000)
        content = stored[number % DIFFERENT]
        path.write_bytes(content[:-2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + content[-2:])
    corners = rng.uniform(0, 400, (boxes, 2)).round(2)
    sides = rng.uniform(5, 80, (boxes, 2)).round(2)
    images_of = np.sort(rng.integers(1, images + 1, boxes)).tolist()
    content_of = {
        "images": [{"id": i + 1, "file_name": name, "width": 640, "height": 480} for i, name in enumerate(names)],
        "annotations": [
            {"id": i + 1, "image_id": image, "category_id": i % 3 + 1, "bbox": [*corner, *side], "area": side[0] * side[1], "iscrowd": 0}
            for i, (image, corner, side) in enumerate(zip(images_of, corners.tolist(), sides.tolist(), strict=True))
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(("apple", "pear", "plum"))],
    }
    (folder / "annotations.json").write_text(json.dumps(content_of))


def measured(code: str, *arguments: object) -> list[Any]:
    """What a fresh process prints."""
    told = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True)
    return list(json.loads(told.stdout))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=f"{tempfile.gettempdir()}/synthbench-import-bench")
    arguments = parser.parse_args()
    folder, target = Path(arguments.folder), Path(f"{arguments.folder}-imported")
    if not folder.exists():
        make(folder, arguments.images, arguments.boxes)
    measured(BASELINE, folder)
    ratios = []
    for _ in range(arguments.repeats):
        (wall, processor), memory = measured(BASELINE, folder)
        shutil.rmtree(target, ignore_errors=True)
        (our_wall, our_processor), our_memory, counts = measured(IMPORT, folder, target)
        ratios.append((our_wall / wall, our_processor / processor))
        print(f"json.load and headers: {wall:.1f} s, of the processor {processor:.1f} s, {memory:.0f} MB")
        print(f"import: {our_wall:.1f} s, of the processor {our_processor:.1f} s, {our_memory:.0f} MB; {counts}", flush=True)
    for name, column in zip(("wall", "processor"), zip(*ratios, strict=True), strict=True):
        print(f"{name}: {' '.join(f'{ratio:.2f}' for ratio in column)} times as long")
    shutil.rmtree(target, ignore_errors=True)


if __name__ == "__main__":
    main()
