"""What AP figures of several replicates prove: intervals, verdicts, where the spread comes from, equivalent real images.

Arrays in, small values out: nothing here reads a file. AP runs from 0 to 1, a variance is in AP squared. `docs/evidence.md`
says how often these intervals contain the truth.
"""

from synthbench.evidence.equivalent import Equivalent, equivalent_images
from synthbench.evidence.intervals import Estimate, Spread, differences, levels
from synthbench.evidence.variance import Advice, Component, Replicates, VarianceSplit, advice, split
from synthbench.evidence.verdict import MARGIN, Best, Settling, Verdict, best_of, judge, judge_all

__all__ = [
    "MARGIN",
    "Advice",
    "Best",
    "Component",
    "Equivalent",
    "Estimate",
    "Replicates",
    "Settling",
    "Spread",
    "VarianceSplit",
    "Verdict",
    "advice",
    "best_of",
    "differences",
    "equivalent_images",
    "judge",
    "judge_all",
    "levels",
    "split",
]
