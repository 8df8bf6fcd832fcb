"""The arguments of `synthbench data`. Imports nothing but argparse, as `parser` does."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False  # not from typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

FORMATS = ("coco", "yolo", "voc")


def add_data(commands: Any) -> None:
    """`synthbench data` with its own three commands."""
    data = commands.add_parser("data", help="read photographs labelled in COCO, YOLO or Pascal VOC; check, convert, split them")
    parts = data.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_import(parts)
    add_check(parts)
    add_export(parts)


def add_import(parts: Any) -> None:
    """`synthbench data import`."""
    command = parts.add_parser("import", help="make the folder that a suite reads, with training and test images")
    command.add_argument("source", help="a folder with photographs and their labels")
    command.add_argument("target", help="the new folder, for --set data.path=TARGET")
    add_reading(command)
    add_cleaning(command)
    split = command.add_argument_group("the split into training and test images")
    split.add_argument("--test", type=share, default=0.3, metavar="SHARE", help="of the images, where a split is made (default: 0.3)")
    split.add_argument("--resplit", action="store_true", help="make a new split, although the folder has one")
    add_group(split)
    split.add_argument("--seed", type=int, default=0, help="of the split that is made (default: %(default)s)")
    add_duplicates(command)
    add_copy(command)
    command.set_defaults(command="data:import_command")


def add_check(parts: Any) -> None:
    """`synthbench data check`."""
    command = parts.add_parser("check", help="say what is in a folder and what is wrong with it; changes nothing")
    command.add_argument("source", help="a folder with photographs and their labels")
    add_reading(command)
    add_group(command)
    add_duplicates(command)
    command.add_argument("--out", metavar="FOLDER", help="where the list of faults and the contact sheet go (default: SOURCE-check)")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command="data:check_command")


def add_export(parts: Any) -> None:
    """`synthbench data export`."""
    command = parts.add_parser("export", help="write photographs and labels in another format")
    command.add_argument("source", help="a folder with photographs and their labels")
    command.add_argument("target", help="the new folder")
    command.add_argument("--to", choices=FORMATS, required=True, help="the format to write")
    add_reading(command)
    add_unlabelled(command)
    add_copy(command)
    command.set_defaults(command="data:export_command")


def add_reading(command: argparse.ArgumentParser) -> None:
    """The arguments that say how a folder is read."""
    command.add_argument("--format", choices=FORMATS, default="", help="of the labels (default: what is there)")
    command.add_argument("--names", type=names, default=(), metavar="A,B", help="of the classes, in their order")
    command.add_argument(
        "--voc-base", type=int, choices=(0, 1), help="what corners of Pascal VOC count from (default: 1, or 0 if one is 0)"
    )
    command.add_argument("--min-side", type=pixels, default=0.0, metavar="PIXELS", help="leave out boxes with a shorter side")


def add_cleaning(command: argparse.ArgumentParser) -> None:
    """The arguments that say what becomes of odd entries."""
    command.add_argument("--classes", type=names, default=(), metavar="A,B", help="keep these classes only, in this order")
    add_unlabelled(command)
    command.add_argument(
        "--difficult", choices=("keep", "ignore", "drop"), default="keep", help="boxes marked so in Pascal VOC; ignore: in scoring"
    )


def add_unlabelled(command: argparse.ArgumentParser) -> None:
    """What images without a label file are."""
    command.add_argument(
        "--unlabelled", choices=("empty", "skip"), default="", help="images without a label file have no objects, or are to be left out"
    )


def add_group(command: argparse._ActionsContainer) -> None:
    """Which images belong together."""
    command.add_argument(
        "--group",
        default="",
        metavar="RULE",
        help="images that belong on one side: a regular expression for names, such as '(.*)_', or time, time:SECONDS, none "
        "(default: by folders, numbers at the end of names, or EXIF times, where they tell)",
    )


def add_duplicates(command: argparse.ArgumentParser) -> None:
    """Whether images are compared by their looks."""
    command.add_argument(
        "--duplicates",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="look for images that look the same (default: up to 20,000 images)",
    )


def add_copy(command: argparse.ArgumentParser) -> None:
    """How images get into the new folder."""
    command.add_argument(
        "--copy",
        action="store_true",
        help="copy the images (default: hard links, which take no room; an editor that writes into a file changes both)",
    )


def names(text: str) -> tuple[str, ...]:
    """Names between commas. Raises ValueError, which argparse reports."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError
    return found


def share(text: str) -> float:
    """A number between 0 and 1. Raises ValueError, which argparse reports."""
    if not 0 < (number := float(text)) < 1:
        raise ValueError
    return number


def pixels(text: str) -> float:
    """A number of pixels, 0 or more. Raises ValueError, which argparse reports."""
    if not 0 <= (number := float(text)) < float("inf"):
        raise ValueError
    return number
