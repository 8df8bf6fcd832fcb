"""What AP figures of several replicates prove: intervals, verdicts, where the spread comes from, equivalent real images.

Arrays in, small values out: nothing here reads a file. AP runs from 0 to 1, a variance is in AP squared. `docs/evidence.md`
says how often these intervals contain the truth.
"""

from synthbench.evidence.intervals import Estimate, Spread, differences, levels
from synthbench.evidence.verdict import MARGIN, Best, Settling, Verdict, best_of, judge, judge_all

__all__ = [
    "MARGIN",
    "Best",
    "Estimate",
    "Settling",
    "Spread",
    "Verdict",
    "best_of",
    "differences",
    "judge",
    "judge_all",
    "levels",
]
