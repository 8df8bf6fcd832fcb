"""Watches in the worker what a plugin's methods receive, read and yield, through a subclass that behaves like the plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthbench.contract.types import Boxes, ImageSet, Sample
from synthbench.testing.frames import Place, is_standard

if TYPE_CHECKING:
    from synthbench.contract.types import SampleRequest

    Note = Callable[[str, str, list[Place]], None]

LEARNING = ("fit", "train")
YIELDING = ("sample", "locate", "predict", "annotate")


class Watch:
    """Records what happens while one stage of a plugin runs.

    inside: whether the plugin's code is running, not the core's code between two yielded items.
    given: the paths that the stage may read: files (pictures, files that options name), and folders with their content.
    options: the options that the plugin's own code has read. copied: whether it copied all, so that the used ones are unknown.
    """

    def __init__(self, note: Note) -> None:
        self.note = note
        self.start({})

    def start(self, options: Mapping[str, object]) -> None:
        """Resets the records for the next stage, which has these options."""
        self.inside = False
        self.named = {value for value in options.values() if isinstance(value, str) and value}
        self.given: tuple[set[str], tuple[str, ...]] = (set(), ())
        self.options: set[str] = set()
        self.copied = False
        self.noted: set[str] = set()

    def may_read(self, path: str) -> bool:
        """Whether a file, or a folder that contains it, is an input of the stage."""
        files, folders = self.given
        return path in files or path.startswith(folders)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Marks that the plugin's code is running."""
        before, self.inside = self.inside, True
        try:
            yield
        finally:
            self.inside = before

    def record_inputs(self, arguments: tuple[Any, ...]) -> None:
        """Records the files and folders in a method's arguments."""
        files = {str(picture.path) for each in arguments if isinstance(each, ImageSet) for picture in each}
        folders = {str(each) for each in arguments if isinstance(each, Path)} | self.named
        folders |= {str(each.workdir) for each in arguments if hasattr(each, "workdir")}
        self.given = files | self.named, tuple(f"{each}/" for each in folders)

    def record_option(self, option: str, caller: str) -> None:
        """Records that code in the file `caller` read an option, or all options if it is `__dict__`."""
        if self.inside:
            if option == "__dict__" or is_standard(caller):  # as dataclasses.asdict does
                self.copied = True
            else:
                self.options.add(option)

    def check_item(self, item: object, number: int, images: ImageSet | SampleRequest, where: list[Place]) -> None:
        """Logs faults of an item's boxes, each sort of fault once. where: the line that yields."""
        boxes = item.boxes if isinstance(item, Sample) else item
        if isinstance(boxes, Boxes):
            size = None if isinstance(item, Sample) or not isinstance(images, ImageSet) else images[number : number + 1]
            for sort, fault in faults(boxes, len(images.categories), size):
                if sort not in self.noted:
                    self.noted.add(sort)
                    self.note(sort, f"image {number}: {fault}", where)


def faults(boxes: Boxes, categories: int, pictures: ImageSet | None) -> Iterator[tuple[str, str]]:
    """Faults of yielded boxes: the sort of fault and an example. Empty boxes are no fault.

    pictures: the one picture that the boxes are in; None for samples, whose boxes' positions are not checked.
    """
    import numpy as np

    if len({len(boxes.xyxy), len(boxes.labels), len(boxes.scores), len(boxes.crowd)}) > 1:
        return  # the core raises an error
    finite = np.isfinite(boxes.xyxy).all(1)
    if not finite.all():
        yield "boxes", f"box {boxes.xyxy[np.argmin(finite)].tolist()} has a number that is not finite"
    known = (boxes.labels >= 0) & (boxes.labels < categories)
    if not known.all():
        yield "boxes", f"label {boxes.labels[np.argmin(known)]} is not one of the {categories} categories, which are numbered from 0"
    valid = (boxes.scores >= 0) & (boxes.scores <= 1)  # false for NaN
    if not valid.all():
        yield "scores", f"score {boxes.scores[np.argmin(valid)]:g}"
    for picture in pictures or ():
        x1, y1, x2, y2 = boxes.xyxy.T
        inside = ~finite | ((x2 > 0) & (y2 > 0) & (x1 < picture.width) & (y1 < picture.height))
        if not inside.all():
            yield "boxes", f"box {boxes.xyxy[np.argmin(inside)].tolist()} is outside its {picture.width} x {picture.height} pixels"


def watched(plugin: type[Any], watch: Watch) -> type[Any]:
    """A subclass of a plugin that behaves like it and reports to `watch`."""
    names = frozenset(field.name for field in fields(plugin) if field.init) | {"__dict__"}

    def __getattribute__(self: Any, name: str) -> Any:
        if name in names and (code := sys._getframe(1).f_code).co_name != "__post_init__":
            watch.record_option(name, code.co_filename)
        return super(made, self).__getattribute__(name)

    def learning(name: str, self: Any, *arguments: Any) -> Any:
        watch.record_inputs(arguments)
        with watch.working():
            return getattr(super(made, self), name)(*arguments)

    def yielding(name: str, self: Any, *arguments: Any) -> Iterator[Any]:
        watch.record_inputs(arguments)
        images = next(each for each in arguments if not isinstance(each, Path))  # or the request
        with watch.working():
            items = iter(getattr(super(made, self), name)(*arguments))
        number = 0
        while True:
            try:
                with watch.working():
                    item = next(items)
            except StopIteration:
                return
            frame = getattr(items, "gi_frame", None)
            if number < len(images):
                watch.check_item(item, number, images, [(frame.f_code.co_filename, frame.f_lineno)] if frame else [])
            yield item
            number += 1

    methods = {name: _method(partial(learning, name)) for name in LEARNING if hasattr(plugin, name)}
    methods |= {name: _method(partial(yielding, name)) for name in YIELDING if hasattr(plugin, name)}
    members: Mapping[str, object] = {"__module__": plugin.__module__, "__qualname__": plugin.__qualname__, "__slots__": ()}
    made: type[Any] = type(plugin.__name__, (plugin,), {**members, **methods, "__getattribute__": __getattribute__})
    return made


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function so that it binds as a method, which a `partial` does not."""

    def method(self: Any, *arguments: Any) -> Any:
        return function(self, *arguments)

    return method
