"""What a YOLO folder says besides its boxes: names of classes and splits, in `data.yaml` or beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synthbench.data.formats.dataset import SPLITS
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.fields import read_text
from synthbench.data.formats.tree import Tree, common_tail, joined, slashes
from synthbench.text import named

LARGEST = 10_000_000  # bytes of a YAML file; a larger one is something else
DEEPEST = 20  # levels of tables and lists in it
LONGEST = 1000  # characters of a name
DESCRIPTIONS = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
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


Plain.yaml_implicit_resolvers = {  # a class called `no` or `1.50` is called so
    letter: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("bool", "float", "timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass
class Layout:
    """names: of the classes, "" for a number without one. splits: of images, as far as a file says. file: who says it.

    keypoints: how many numbers of a line are keypoints.
    """

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
        try:
            return file, description(tree.root / file)
        except ValueError:
            continue
    return "", {}


def description(path: Path) -> dict[str, Any]:
    """The content of a YAML file that describes a folder. Raises ValueError, which says why, if it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        content = yaml.load(read_text(path), Plain)  # a safe loader
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"no YAML: {error}") from None
    if isinstance(content, dict) and ({"names", "nc"} & set(content) or {"train", "val"} <= set(content)):
        return content
    raise ValueError("no YAML with names, train and val")


def read_layout(tree: Tree, faults: Faults, told: Sequence[str] = ()) -> Layout:
    """Reads `data.yaml` or, without one, a list of names such as `classes.txt`. told: names that a user gives in place of all of these."""
    file, content = data_file(tree)
    layout = Layout(file=file)
    layout.names = names_of(content.get("names"))
    described, lists = described_names(tree, faults), listed_names(tree, faults)
    if not any(layout.names) and lists:
        layout.names, layout.file = lists[0]
    for names, other in [*lists, *described] if not told else []:
        if names != layout.names:
            faults.add("other names", other, text=f"those of {layout.file} were taken: {', '.join(map(named, layout.names))}")
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
    """The names of `data.yaml`: a list, or a table by number; "" for a number without one."""
    if isinstance(value, list):
        return [text_of(each) for each in value]
    if isinstance(value, dict):
        texts = ((text_of(key), text_of(name)) for key, name in value.items())
        numbers = {int(key): name for key, name in texts if re.fullmatch("[0-9]{1,5}", key)}
        return [numbers.get(number, "") for number in range(max(numbers, default=-1) + 1)]
    return []


def described_names(tree: Tree, faults: Faults) -> list[tuple[list[str], str]]:
    """The names in files that should describe the folder by their name, and which file it is; those that do not are faults."""
    found = []
    for file in tree.labels:
        if file.rpartition("/")[2].lower() in DESCRIPTIONS:
            try:
                found.append((names_of(description(tree.root / file).get("names")), file))
            except ValueError as error:
                faults.add("unreadable labels", file, text=error)
    return [(names, file) for names, file in found if any(names)]


def listed_names(tree: Tree, faults: Faults) -> list[tuple[list[str], str]]:
    """The names in text files such as `classes.txt`, a line each, and which file it is; the one that counts first."""
    found = []
    for name in NAME_FILES:
        for file in sorted((each for each in tree.labels if each.rpartition("/")[2].lower() == name), key=lambda each: each.count("/")):
            try:
                lines = read_text(tree.root / file).rstrip().splitlines()
            except (OSError, ValueError) as error:
                faults.add("unreadable labels", file, text=error)
                continue
            if lines:
                found.append(([line.strip() for line in lines], file))
    return found


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
            elif value is not None:
                faults.add("listed, not there", file, split, f"{text_of(value) or type(value).__name__} is no folder and no list of images")
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
        return listed_images(tree, file, base, value, split, faults)
    path: str | None = joined(base, value)
    if value.startswith("/") or not inside(tree, path):
        path = nearest_folder(tree, value)
        if path is None:
            faults.add("listed, not there", file, split, value)
        elif value.startswith("/"):
            faults.add("foreign path", file, split, value)
    if path is None:
        return set()
    prefix = f"{path}/" if path not in ("", ".") else ""
    return {image for image in tree.images if image.startswith(prefix)}


def listed_images(tree: Tree, file: str, base: str, value: str, split: str, faults: Faults) -> set[str]:
    """The images that a text file lists, a line each."""
    lists = [each for each in tree.labels if each == joined(base, value) or each.rpartition("/")[2] == value.rpartition("/")[2]]
    if not lists:
        faults.add("listed, not there", file, split, value)
        return set()
    try:
        lines = read_text(tree.root / lists[0]).splitlines()
    except (OSError, ValueError) as error:
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
