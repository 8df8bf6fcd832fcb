"""`synthbench new`: the folder of a plugin to come, which runs as it is."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path
from string import Template

from synthbench.errors import SynthbenchError

TEMPLATES = Path(__file__).parents[1] / "templates"
SUFFIX = ".template"  # so that no tool takes one for what it makes


def command(arguments: argparse.Namespace) -> int:
    """Writes the folder, and says what is in it and what comes next."""
    check_name(arguments.kind, arguments.name)
    folder = Path(arguments.folder) if arguments.folder else Path(f"synthbench-{arguments.name}")
    if arguments.torch and arguments.kind != "detector":
        raise SynthbenchError(f"--torch: there is no template of a {arguments.kind} with torch; leave it out")
    written = write(arguments.kind, arguments.name, folder, "detector-torch" if arguments.torch else arguments.kind)
    print("\n".join(f"wrote {file}" for file in written))
    print(f"""
next:
  uv pip install --editable {folder}
  uv run synthbench check {arguments.name}
  uv run synthbench run {folder / "suite.toml"}""")
    return 0


def check_name(kind: str, name: str) -> None:
    """Raises SynthbenchError where a plugin cannot have this name, or another has it."""
    from importlib.metadata import PackageNotFoundError, distribution

    from synthbench.registry import installed

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*", name):
        near = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
        near = near if near[:1].isalpha() else f"my-{near}".strip("-")
        raise SynthbenchError(
            f"'{name}' cannot be a plugin's name: a letter, then letters, digits and single '-' and '_'; did you mean '{near}'?"
        )
    for (its_kind, its_name), found in installed().found.items():
        if (its_kind, its_name) == (kind, name):
            raise SynthbenchError(f"the {kind} '{name}' is in use by {found.distribution}; take another name, such as 'my-{name}'")
    try:
        taken = distribution(f"synthbench-{name}")
    except PackageNotFoundError:
        return
    raise SynthbenchError(f"the distribution {taken.name} is installed already; take another name, such as 'my-{name}'")


def write(kind: str, name: str, folder: Path, template: str) -> list[Path]:
    """Writes a plugin into a new folder, from a folder of `TEMPLATES`; gives the files, sorted.

    Raises SynthbenchError where there is something already.
    """
    if folder.exists():
        raise SynthbenchError(f"{folder}: is there already; nothing was written. Take another name, or another folder with --folder")
    files = sorted((TEMPLATES / template).rglob(f"*{SUFFIX}"))
    sources = {file.relative_to(TEMPLATES / template): file.read_text() for file in files}
    bare = name.replace("-", "_").lower()
    words = {"name": name, "module": f"synthbench_{bare}", "Class": class_name(kind, name, " ".join(sources.values()))}
    written = []
    for path, text in sources.items():
        file = folder / str(path).removesuffix(SUFFIX).replace("NAME", bare)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(text).substitute(words))
        written.append(file)
    return written


def class_name(kind: str, name: str, source: str) -> str:
    """`MyNet` for `my-net`; the kind follows where Python or the source uses that word for something else."""
    plain = camel_case(name)
    taken = keyword.iskeyword(plain) or re.search(rf"\b{plain}\b", source)
    return plain + camel_case(kind) if taken else plain


def camel_case(name: str) -> str:
    """`MyNet` for `my-net`."""
    return "".join(part[0].upper() + part[1:] for part in re.split("[-_]", name))
