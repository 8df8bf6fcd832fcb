"""The subject of each kind of plugin."""

from __future__ import annotations

from collections.abc import Mapping

from synthbench.contract.stages import PluginKind
from synthbench.testing.annotators import ANNOTATORS
from synthbench.testing.bench import Bench
from synthbench.testing.detectors import DETECTORS
from synthbench.testing.generators import GENERATORS
from synthbench.testing.sources import SOURCES
from synthbench.testing.subject import Subject

SUBJECTS: Mapping[PluginKind, Subject] = {"data-source": SOURCES, "generator": GENERATORS, "annotator": ANNOTATORS, "detector": DETECTORS}


def subject_of(bench: Bench) -> Subject:
    """The subject for the plugin of a bench."""
    return SUBJECTS[bench.found.kind]
