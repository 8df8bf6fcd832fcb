"""Pieces of Markdown."""

from __future__ import annotations

from urllib.parse import quote

from synthbench.results.model import Results


def picture(results: Results, name: str, caption: str) -> str:
    """A picture with its caption, or nothing if it was not drawn."""
    drawn = results.pictures.get(name)
    return f"![{caption}]({quote(drawn['file'])})\n\n*{caption}*" if drawn else ""


def fold(title: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n\n</details>"
