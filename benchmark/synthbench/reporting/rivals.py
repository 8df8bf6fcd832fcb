"""Whether something simpler does as well as a generative model: what the references give with ordinary means."""

from __future__ import annotations

from synthbench.reporting.scores import Pick, Scores, listed, spanned
from synthbench.reporting.tables import UNKNOWN, table


def compared(scores: Scores) -> list[str]:
    """A sentence and a table, or nothing where the suite has no rivals or no generative model."""
    pairs = {each: pick for each in scores.detectors if (pick := scores.closest(each)) and pick.row not in scores.rivals}
    if not scores.rivals or not pairs:
        return []
    rows = []
    for rival in scores.rivals:
        for detector, pick in pairs.items():
            level = scores.level(rival, detector)
            gap = scores.difference(pick.row, detector, rival)
            figures = [spanned(level) if level else UNKNOWN, f"`{pick.row}`", spanned(gap, sign=True) if gap else UNKNOWN]
            rows.append([f"`{rival}`", detector, *figures])
    headers = ["without a generative model", "detector", "its AP", "best set of a generative model", "AP minus that of the rival"]
    return [sentence(scores, pairs), table(headers, rows, words=2)]


def sentence(scores: Scores, pairs: dict[str, Pick]) -> str:
    """Who wins, as far as it is settled."""
    if not scores.has_intervals:
        return f"{'One replicate does' if scores.replicates == 1 else 'So few test images do'} not settle which of them is better."
    beaten: list[str] = []
    better: list[str] = []
    open_: list[str] = []
    for rival in scores.rivals:
        for detector, pick in pairs.items():
            gap = scores.difference(pick.row, detector, rival)
            if gap is None or gap.low is None or gap.high is None:
                continue
            where = better if gap.high < 0 else beaten if gap.low > 0 else open_
            where.append(f"`{rival}` with {detector}")
    parts = [f"**{listed(better)} {'do' if len(better) > 1 else 'does'} better than the best generative model**"] if better else []
    parts += [f"the best generative model does better than {listed(beaten)}"] if beaten else []
    parts += [f"not settled: {listed(open_)}"] if open_ else []
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else "No replicate has both."
