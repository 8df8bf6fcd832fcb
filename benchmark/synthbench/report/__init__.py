"""Reports: Markdown and pictures for somebody who has read nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from synthbench.errors import SynthbenchError


def render_file(results: Path) -> Path:
    """Renders stored results as Markdown beside them, from the JSON alone, and says where.

    Raises SynthbenchError where the file cannot be read, or was written by a version that stored other things.
    """
    from synthbench.report.markdown import render
    from synthbench.results.collect import SCHEMA

    try:
        held = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SynthbenchError(f"{results}: no results that can be read ({error}); `synthbench run` writes them") from None
    if not isinstance(held, dict) or held.get("schema") != SCHEMA:
        raise SynthbenchError(f"{results}: not results of schema {SCHEMA}, which this version reads; run the suite again to renew them")
    written = results.with_suffix(".md")
    written.write_text(render(held, results.name), encoding="utf-8")
    return written
