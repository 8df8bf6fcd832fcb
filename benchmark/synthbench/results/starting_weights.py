"""What starting weights say they were trained on, so that a reader sees whether they may have seen the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthbench.contract.options import is_weights, option_types
from synthbench.text import cut

DECLARATION = ".trained-on.txt"
"""The end of the name of a text file beside weights: `small-sd15.trained-on.txt` beside the folder `small-sd15`. It lies outside of the
folder, so that to correct it changes no key."""


def trained_on(plugin: Any) -> dict[str, str]:
    """For each option of a configured plugin that names starting weights: what they were trained on; empty where nothing says so."""
    try:
        found = {str(name): cut(str(text)) for name, text in dict(getattr(plugin, "trained_on", {})).items()}
    except Exception as error:  # the plugin's own code: no reason to lose a report
        found = {"trained_on": cut(f"{type(error).__name__}: {error}")}
    for name, kind in option_types(type(plugin)).items():
        value = getattr(plugin, name)
        if is_weights(kind) and isinstance(value, str) and Path(value).name:
            file = Path(value).with_name(Path(value).name + DECLARATION)
            found[name] = cut(file.read_text(errors="replace").strip()) if file.is_file() else ""
    return found
