"""The words and figures of what is shown while a suite runs, and how they fit in a line."""

from __future__ import annotations

import re
import textwrap

from rich.cells import cell_len, set_cell_size

from synthbench.cli.run_status import OutcomeLike, Running, StageLike


def cells_of(running: Running, now: float) -> dict[str, str]:
    """The texts of a stage's row; those that are not known are empty."""
    if not running.part:
        return {"status": f"{running.phase} {clock(now - running.since)}", "left": "", "speed": "", "figures": ""}
    total = "" if running.total is None else f"/{running.total}"
    status = f"{running.phase} {running.done:>{max(len(total) - 1, 0)}}{total} {running.unit}".strip()
    left, speed = running.part_left(now), running.speed(now)
    return {
        "status": status,
        "left": "" if left is None else f"{clock(left)} left",
        "speed": f"{speed:.3g} {running.unit}/s" if speed is not None and running.unit else "",
        "figures": "  ".join(f"{name} {value:.4g}" for name, value in running.figures.items()),
    }


def facts_of(stage: StageLike, outcome: OutcomeLike) -> list[str]:
    """The figures of a finished stage, the most telling one first."""
    facts, seconds = outcome.record.facts, outcome.record.seconds
    figures = []
    if stage.kind == "score":  # without a true box there is no AP
        figures = [f"{name} {facts[name]:.3f}" for name in ("AP", "AP50") if name in facts]
    sampled = facts.get("images", 0) - facts.get("reused_images", 0)  # a longer sample copies the images of a shorter one
    if stage.kind == "sample" and sampled and seconds > 0:
        figures = [f"{sampled / seconds:.3g} images/s"]
    if stage.kind == "annotate":
        figures = [counted(facts.get("boxes", 0), "box", "boxes")]
    return [*figures, duration(seconds)]


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 box`, `2 boxes`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def about(seconds: float) -> str:
    """The time left, no more exact than an estimate is."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than 1 min left"
    if minutes < 60:
        return f"about {minutes} min left"
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return f"about {hours} h {minutes} min left" if minutes else f"about {hours} h left"


def duration(seconds: float) -> str:
    """How long something took: `1.5 s`, `2 min 5 s`, `1 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def clock(seconds: float) -> str:
    """`0:42`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def shorten(text: str, width: int) -> str:
    """The text in at most `width` columns, with an ellipsis in the middle if it is longer: both ends tell stages apart."""
    if cell_len(text) <= width:
        return text
    head = max(width, 1) // 2
    return f"{set_cell_size(text, head).rstrip()}…{set_cell_size(text[::-1], max(width, 1) - 1 - head)[::-1].lstrip()}"


def fill(text: str, width: int) -> str:
    """The text with line breaks between words; a word that is longer than `width` stays in one piece."""
    return textwrap.fill(text, max(width, 20), break_long_words=False, break_on_hyphens=False)


def plain(markdown: str) -> str:
    """A sentence without Markdown's marks: quotes, links, bold, emphasis, code."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"^(> *|#+ +)+", "", markdown.strip()))
    text = re.sub(r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    return re.sub(r"(`+)(.+?)\1", r"\2", text)
