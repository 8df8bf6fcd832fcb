"""What is told of a run while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthbench.execution.jobs import Outcome
    from synthbench.execution.stage_run import Event
    from synthbench.planning.stage import Stage


class Listener:
    """Hears what a run does; called from several threads, one call at a time. This one does nothing: a subclass overrides what it uses."""

    def started(self, stage: Stage) -> None:
        """A stage starts."""

    def heard(self, stage: Stage, event: Event) -> None:
        """A stage reports progress, or logs a line."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """A stage ended, well or not."""

    def postponed(self, stage: Stage) -> None:
        """A stage that had started does not run now: another run makes the same result, or what it needs is made again first."""

    def damaged(self, stage: Stage, message: str) -> None:
        """A stored result is damaged: it was set aside, and its stage runs again."""

    def waits(self, stage: Stage, message: str) -> None:
        """A stage waits for people; the message says what they are asked, and where. What needs the stage waits, too."""
