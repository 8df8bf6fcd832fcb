"""Text from strangers: whatever names, notes and titles contain, the report's Markdown and the terminal show it as text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from synthbench.cli.tables import print_table
from synthbench.errors import SynthbenchError
from synthbench.experiment import Experiment
from synthbench.reporting.harmless import inline, paragraphs
from synthbench.reporting.markdown import render
from synthbench.results.model import Results
from synthbench.text import LONGEST, cut, printable, without_machine
from synthbench_fakes import SUITE

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=https://example.invalid/a.png>",
    "![x](https://example.invalid/a.png)",
    "[x](javascript:alert(1))",
    "[x]: https://example.invalid",
    "\n\n# Forged heading\n\n",
    "Forged\n======",
    "</details>",
    "`` ` `` <b>",
    "a|b|c",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    "\ud800",
)
BLOCKS = ("<details>", "</details>", "<summary>")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Experiment(SUITE, store=tmp_path_factory.mktemp("store")).run(out=None, in_process=True)


def tokens(markdown: str) -> list[Any]:
    found = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [each for token in found for each in [token, *(token.children or [])]]


def shape(markdown: str) -> list[tuple[str, str]]:
    """What a reader's browser would make of it: headings, images, links and HTML."""
    kinds = ("heading_open", "image", "link_open", "html_block", "html_inline")
    return [(token.type, token.tag) for token in tokens(markdown) if token.type in kinds]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_adds_nothing_to_a_report(results: Results, hostile: str) -> None:
    content = msgspec.to_builtins(results)
    fixed = ("kind", "state", "key", "failed", "train", "predict", "score", "file", "word")  # no other values can be read

    def with_hostile(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            return value if key in fixed else value + hostile
        if isinstance(value, dict):
            names = key in ("costs",)
            return {name + hostile if names else name: with_hostile(each, name) for name, each in value.items()}
        return [with_hostile(each, key) for each in value] if isinstance(value, list) else value

    told = render(msgspec.convert(with_hostile(content), Results), "squares.json")
    assert shape(told) == shape(render(results, "squares.json"))
    assert all(character.isprintable() or character == "\n" for character in told)
    told.encode()


def test_a_picture_from_elsewhere_is_left_out(results: Results) -> None:
    content = msgspec.to_builtins(results) | {"pictures": {"matrix": {"file": "https://example.invalid/a.png"}}}
    assert "example.invalid" not in render(msgspec.convert(content, Results), "squares.json")


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_stays_text(text: str) -> None:
    for markdown in (f"before {inline(text)} after", f"- {inline(text)}", f"`{inline(text) or 'x'}`", paragraphs(text)):
        assert not [token.type for token in tokens(markdown) if token.type in ("heading_open", "image", "html_block", "html_inline")]


def test_escape_sequences_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("name",), ("\x1b[31mred",)])
    sys.stdout.write(f"{SynthbenchError(chr(27) + ']0;title' + chr(7) + ' ' + chr(0xD800))}\n")
    assert capsys.readouterr().out == "name\n\\x1b[31mred\n\\x1b]0;title\\x07 \N{REPLACEMENT CHARACTER}\n"


def test_long_text_is_cut_in_the_middle() -> None:
    text = cut("a" * 100_000 + "end")
    assert len(text) < LONGEST + 60
    assert text.endswith("end")
    assert "96003 characters left out" in text
    assert cut("short") == "short"


def test_errors_in_results_name_no_folders_of_a_machine(tmp_path: Path) -> None:
    told = without_machine(
        f"{Path.home()}/secret/x.pt: no such file; see {tmp_path}/a b/c.json and '/opt/lab/jane/train.json', 3/4 of https://a.b/c/d"
    )
    assert str(Path.home()) not in told
    assert "/opt/lab" not in told
    assert "secret/x.pt: no such file" in told
    assert "/jane/train.json', 3/4 of https://a.b/c/d" in told
    assert printable("/a\n\tb") == "/a\n\tb"
