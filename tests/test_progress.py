"""What is shown while a suite runs, in a terminal and in a log."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console
from synthbench.cli import progress
from synthbench.cli.progress import Bars, Lines, display_for
from synthbench.execution.jobs import Outcome
from synthbench.planning.planner import Plan

PlanOf = Callable[..., Plan]
EVENT = {"event": "progress", "label": "train [1]", "done": 3, "total": 10, "unit": "images", "figures": {"loss": 0.5}}


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_is_told_to_its_end(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch, terminal: bool):
    monkeypatch.setattr(progress, "SHOWN_AFTER", 0.0)
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    plan = plan_of()
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=200, color_system=None)
    score = plan.cells[0].score
    failed = replace(plan.stages[1], label="train [odd] on real")
    with display_for(plan, {plan.data.key}, console) as display:
        assert isinstance(display, Bars if terminal else Lines)
        for stage in (failed, score):
            display.started(stage)
            display.heard(stage, {"event": "log", "message": "said"})
            display.heard(stage, dict(EVENT))
            display.heard(stage, EVENT | {"label": "another part", "total": None})
        display.finished(failed, Outcome(error="RuntimeError: [/odd]", notes=("2 boxes [were] dropped",)))
        display.finished(score, Outcome(seconds=1.5, records={"AP": 0.5, "AP50": 0.75}))
    told = written.getvalue()
    assert f"1 of {len(plan.stages)} stages are in the store already" in told
    assert "failed train [odd] on real: RuntimeError: [/odd]" in told
    assert "2 boxes [were] dropped" in told
    assert "done   score threshold on real 1.5 s AP 0.500  AP50 0.750 cells 1/10" in told
    if not terminal:
        assert "train [odd] on real: train [1] 3/10 images, loss 0.5" in told
        assert "score threshold on real: another part 3/? images, loss 0.5" in told


def test_a_score_without_truth_shows_no_figure(plan_of: PlanOf):
    assert progress.facts_of(plan_of().cells[0].score, Outcome()) == ""
