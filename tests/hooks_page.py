"""Renders HOOKS.md from the code: signatures and docstrings as they are. `uv run python tests/hooks_page.py` renews the page."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from synthbench import errors
from synthbench.contract import (
    box_sources,
    environment,
    fetching,
    hookspecs,
    onnx,
    options,
    remote,
    training,
    types,
    unpacking,
    weights,
)
from synthbench.data import coco

PAGE = Path(__file__).parents[1] / "HOOKS.md"
FACTS = ("When", "How often", "Assume", "Raises")
WORD = r"(?:How often|\w+)"
HEAD = """# Hooks

Every hook, method and value of the contract between synthbench and its plugins, rendered from the code by
`tests/hooks_page.py`; a test keeps both the same. How to write a plugin: [CONTRIBUTING.md](CONTRIBUTING.md).

A plugin is code. It runs with your rights as soon as its module is imported: when plugins are listed, or a suite is read,
whether or not the suite names it. It can read your files and use the network. Install only plugins that you trust."""
HOOKS = """## The hooks

Functions of the module that the entry point of the group `synthbench` names, marked with `@hookimpl`. Leave out the
hooks that a plugin does not need."""
BORDER = """## What crosses the border

Numpy arrays, paths and plain values: no framework's types."""


def page() -> str:
    """The whole page."""
    contract, values, helpers = map(Source, (hookspecs, types, options))
    sources, starts, own, equal = map(Source, (box_sources, weights, environment, training))
    far, pieces, archives, files, folders = map(Source, (remote, fetching, unpacking, onnx, coco))
    hooks = [name for name in contract.found if name.startswith("synthbench_")]
    said = ["Plugin", "Extras"]
    kinds = [name for name in contract.classes() if name not in said]
    parts = [
        HEAD,
        *[HOOKS, *map(contract.section, hooks)],
        *["## What a plugin says of itself", *map(contract.section, said), own.section("Environment")],
        *["## The kinds and their methods", *map(contract.section, kinds)],
        *[BORDER, *map(values.section, values.classes())],
        *["## Whose boxes an annotator starts from", *map(sources.section, [*sources.classes(), "BoxSource"])],
        *["## Starting weights", *map(starts.section, starts.functions())],
        *[
            "## Data that are fetched",
            far.section("Remote"),
            pieces.section("RemoteFile"),
            archives.section("unpack"),
            folders.section("CocoFolder"),
        ],
        *["## Detectors as ONNX files", files.section("OnnxInput")],
        *["## Training with equal effort", *map(equal.section, equal.functions())],
        *["## Helpers", helpers.section("option"), helpers.section("Weights"), helpers.section("EntryName"), values.section("derive_seed")],
        Source(errors).section("SynthbenchError"),
    ]
    return "\n\n".join(parts) + "\n"


class Source:
    """The public classes, functions and aliases of a module, in its order."""

    def __init__(self, module: ModuleType) -> None:
        self.text = inspect.getsource(module)
        self.body = ast.parse(self.text).body
        self.found: dict[str, ast.stmt] = {}
        for each in self.body:
            if isinstance(each, ast.ClassDef | ast.FunctionDef) and not each.name.startswith("_"):
                self.found[each.name] = each
            elif isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                self.found[each.targets[0].id] = each

    def classes(self) -> list[str]:
        """The names of the classes."""
        return [name for name, each in self.found.items() if isinstance(each, ast.ClassDef)]

    def functions(self) -> list[str]:
        """The names of the functions."""
        return [name for name, each in self.found.items() if isinstance(each, ast.FunctionDef)]

    def section(self, name: str) -> str:
        """A class with its members, a function or an alias, under its name."""
        each = self.found[name]
        parts = [self.code([each]), told(each, self.body)]
        if isinstance(each, ast.ClassDef):
            parts += self.members(each)
        return "\n\n".join([f"### `{name}`", *parts])

    def members(self, owner: ast.ClassDef) -> Iterator[str]:
        """The public members of a class, each with its docstring; those without one stand together with the next."""
        waiting: list[ast.stmt] = []
        for each in owner.body:
            private = isinstance(each, ast.FunctionDef) and each.name.startswith("_")
            if private or not isinstance(each, ast.AnnAssign | ast.FunctionDef):
                continue
            if isinstance(each, ast.FunctionDef) and waiting:
                yield self.code(waiting)
                waiting = []
            waiting.append(each)
            if about := told(each, owner.body):
                yield f"{self.code(waiting)}\n\n{about}"
                waiting = []
        if waiting:
            yield self.code(waiting)

    def code(self, statements: list[ast.stmt]) -> str:
        """Signatures, heads of classes, aliases and annotated attributes as they are in the source, a line each."""
        return "\n".join(["```python", *(self.line(each) for each in statements), "```"])

    def line(self, each: ast.stmt) -> str:
        """One of them."""
        if not isinstance(each, ast.ClassDef | ast.FunctionDef):
            return ast.get_source_segment(self.text, each) or ""
        lines = self.text.splitlines()[each.lineno - 1 : each.body[0].lineno - 1]
        signature = " ".join(line.strip() for line in lines).removesuffix(":").replace("( ", "(").replace(", )", ")")
        marks = [f"@{ast.unparse(mark)}" for mark in each.decorator_list if ast.unparse(mark) in ("property", "classmethod")]
        return "\n".join([*marks, signature])


def told(each: ast.stmt, around: list[ast.stmt]) -> str:
    """The docstring of a class, a function or, in the statement after it, of an attribute; empty where there is none."""
    if isinstance(each, ast.ClassDef | ast.FunctionDef):
        return markdown(ast.get_docstring(each) or "")
    after = around[around.index(each) + 1 :][:1]
    texts = [next_.value.value for next_ in after if isinstance(next_, ast.Expr) and isinstance(next_.value, ast.Constant)]
    return markdown(inspect.cleandoc(str(texts[0]))) if texts else ""


def markdown(text: str) -> str:
    """A docstring as Markdown: lines that begin with facts or with the names of fields become a list."""
    made: list[str] = []
    for line in re.sub(r"\n {4}(?! )", " ", text).splitlines():  # what an item goes on with is indented
        named = re.match(rf"{WORD}(, {WORD}| and {WORD})*: ", line)
        if named and made and made[-1] and not made[-1].startswith("- "):
            made.append("")
        made.append(f"- {re.sub(WORD, marked, named[0])}{line[named.end() :]}" if named else line)
    return "\n".join(made)


def marked(word: re.Match[str]) -> str:
    """A fact in bold, a field's name as code."""
    return word[0] if word[0] == "and" else f"**{word[0]}**" if word[0] in FACTS else f"`{word[0]}`"


if __name__ == "__main__":
    PAGE.write_text(page())
