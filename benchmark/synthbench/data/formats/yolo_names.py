"""What a YOLO folder says besides its boxes: names of classes and splits, in `data.yaml` or beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from synthbench.data.formats.dataset import SPLITS
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.tree import Tree, common_tail, joined, slashes

LARGEST = 10_000_000  # bytes of a YAML file; a larger one is something else
DEEPEST = 20  # levels of tables and lists in it
LONGEST = 1000  # characters of a name
NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "names.txt")


class Plain(yaml.SafeLoader):
    """Reads YAML from strangers: merged tables, and lists in lists in lists, can be made to take hours, and no description has them."""

    depth = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merges nothing, so that `<<` is an unknown kind of key."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node. Raises YAMLError if it lies too deep."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


@dataclass
class Layout:
    """names: of the classes. splits: of images, as far as a file says. keypoints: numbers of a line's keypoints. file: who says it."""

    names: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    keypoints: int = 0
    license: str = ""
    source: str = ""
    file: str = ""


def data_file(tree: Tree) -> tuple[str, dict[str, Any]]:
    """The YAML file that describes the folder, the one called `data.yaml` before others, and its content; ("", {}) without one."""
    candidates = [file for file in tree.labels if file.lower().endswith((".yaml", ".yml"))]
    for file in sorted(candidates, key=lambda each: (each.count("/"), not each.lower().endswith("data.yaml"), each)):
        path = tree.root / file
        if path.stat().st_size > LARGEST:
            continue
        try:
            content = yaml.load(path.read_text(encoding="utf-8-sig"), Plain)  # a safe loader
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
            continue
        if isinstance(content, dict) and ({"names", "nc"} & set(content) or {"train", "val"} <= set(content)):
            return file, content
    return "", {}


def read_layout(tree: Tree, faults: Faults) -> Layout:
    """Reads `data.yaml` or, without one, a list of names such as `classes.txt`."""
    file, content = data_file(tree)
    layout = Layout(file=file)
    layout.names = names_of(content.get("names"))
    for broken in (each for each in tree.labels if each.rpartition("/")[2].lower() in ("data.yaml", "dataset.yaml") and each != file):
        if not file:
            faults.add("unreadable labels", broken, text="no YAML with names, train and val")
    if not layout.names:
        layout.names, layout.file = listed_names(tree) or ([], file)
    count = content.get("nc")
    if isinstance(count, int) and layout.names and count != len(layout.names):
        faults.add("no class names", file, text=f"nc is {text_of(count)}, but there are {len(layout.names)} names")
    shape = content.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(each, int) for each in shape):
        layout.keypoints = shape[0] * shape[1]
    roboflow = each if isinstance(each := content.get("roboflow"), dict) else {}
    layout.license = text_of(content.get("license") or roboflow.get("license"))
    layout.source = text_of(content.get("source") or roboflow.get("url"))
    layout.splits = read_splits(tree, file, content, faults)
    return layout


def text_of(value: object) -> str:
    """A value of YAML as text; "" for none, and for a table or list, which anchors can make endless."""
    if isinstance(value, int) and abs(value) > 1e300:
        return "a huge number"
    return "" if value is None or isinstance(value, dict | list | tuple | set) else str(value)[:LONGEST]


def names_of(value: object) -> list[str]:
    """The names of `data.yaml`: a list, or a table by number, in which missing numbers get a name after themselves."""
    if isinstance(value, list):
        return [text_of(each) or f"class {number}" for number, each in enumerate(value)]
    if isinstance(value, dict):
        texts = ((text_of(key), text_of(name)) for key, name in value.items())
        numbers = {int(key): name or f"class {key}" for key, name in texts if re.fullmatch("[0-9]{1,5}", key)}
        return [numbers.get(number, f"class {number}") for number in range(max(numbers, default=-1) + 1)]
    return []


def listed_names(tree: Tree) -> tuple[list[str], str] | None:
    """The names in a text file, a line each, and which file it is."""
    for name in NAME_FILES:
        for file in sorted((each for each in tree.labels if each.rpartition("/")[2].lower() == name), key=lambda each: each.count("/")):
            try:
                lines = (tree.root / file).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            while lines and not lines[-1].strip():
                lines.pop()
            if lines:
                return [line.strip() for line in lines], file
    return None


def read_splits(tree: Tree, file: str, content: dict[str, Any], faults: Faults) -> dict[str, str]:
    """The split of each image that `train`, `val` or `test` of `data.yaml` name: folders, or lists of images."""
    base = file.rpartition("/")[0]
    told = slashes(text_of(content.get("path")))
    if told and not told.startswith("/") and ":" not in told and (inner := joined(base, told)) and inside(tree, inner):
        base = inner
    elif told and told not in (".", "./"):
        faults.add("foreign path", file, "path", told)
    sides: dict[str, set[str]] = {}
    for split in SPLITS:
        values = content.get(split) or (content.get("valid") if split == "val" else None)
        images: set[str] = set()
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str):
                images |= images_of(tree, file, base, slashes(value), split, faults)
        if images and images == sides.get("val"):  # ultralytics demands a `val`, so it may be the test images
            del sides["val"]
        if images and images != sides.get("train"):  # and `val: images/train` is no split
            sides[split] = images
    if len(sides) < 2:
        return {}
    splits: dict[str, str] = {}
    for split, images in sides.items():  # a later one takes what an earlier one has too
        for image in sorted(images & set(splits)):
            faults.add("on both sides", image, text=f"{splits[image]} and {split} of {file}")
        splits |= dict.fromkeys(images, split)
    return splits


def images_of(tree: Tree, file: str, base: str, value: str, split: str, faults: Faults) -> set[str]:
    """The images that an entry of `data.yaml` names."""
    if value.lower().endswith(".txt"):
        return listed_images(tree, base, value, split, faults)
    path: str | None = joined(base, value)
    if value.startswith("/") or not inside(tree, path):
        path = nearest_folder(tree, value)
        if path is None or value.startswith("/"):
            faults.add("foreign path", file, split, value)
    if path is None:
        return set()
    prefix = f"{path}/" if path not in ("", ".") else ""
    return {image for image in tree.images if image.startswith(prefix)}


def listed_images(tree: Tree, base: str, value: str, split: str, faults: Faults) -> set[str]:
    """The images that a text file lists, a line each."""
    lists = [each for each in tree.labels if each == joined(base, value) or each.rpartition("/")[2] == value.rpartition("/")[2]]
    if not lists:
        return set()
    try:
        lines = (tree.root / lists[0]).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.add("unreadable labels", lists[0], text=error)
        return set()
    found = set()
    for number, line in enumerate(lines, start=1):
        if name := slashes(line.strip()):
            image, fault = tree.find(name.removeprefix("./"), (lists[0].rpartition("/")[0], base, ""), split)
            if fault:
                faults.add(fault, lists[0], f"line {number}", name)
            if image:
                found.add(image)
    return found


def inside(tree: Tree, path: str | None) -> bool:
    """Whether there are images below a folder."""
    return path is not None and not path.startswith("..") and any(image.startswith(f"{path}/") for image in tree.images)


def nearest_folder(tree: Tree, value: str) -> str | None:
    """The folder of images whose path ends most like a path of another machine, such as `../train/images` of Roboflow's.

    `images` alone is no such end of a longer path: the folder of that name usually has the images of every split.
    """
    wanted = [part for part in value.split("/") if part not in ("", ".", "..")]
    least = 2 if len(wanted) > 1 and wanted[-1].lower() == "images" else 1
    folders = {"/".join(parts[:end]) for image in tree.images for parts in [image.split("/")] for end in range(1, len(parts))}
    scored = [(common_tail(wanted, folder.split("/")), -folder.count("/"), folder) for folder in folders]
    best = max(scored, default=(0, 0, ""))
    return best[2] if best[0] >= least else None
