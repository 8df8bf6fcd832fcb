"""The processor and the vector instructions that a result was computed with: both move the last digits, and trainings magnify these."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

SETS = ("amx_tile", "avx512f", "avx2", "avx")
"""Names of vector instructions in /proc/cpuinfo, the most capable first."""
WORDS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX"}


@cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """`Intel(R) Xeon(R) Processor @ 2.50GHz, AVX-512`; as much of it as the system tells.

    A limit that a user sets for oneDNN (`ONEDNN_MAX_CPU_ISA`) is named, since torch's kernels keep to it.
    """
    lines: dict[str, str] = {}
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            lines[name.strip()] = value.strip()
    model = lines.get("model name") or platform.processor() or platform.machine()
    flags = lines.get("flags", "").split()
    known = next((WORDS[each] for each in SETS if each in flags), "")
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return ", ".join(each for each in (model, known, f"oneDNN held to {limit}" if limit else "") if each)
