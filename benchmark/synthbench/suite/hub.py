"""Commits of hub repositories: a branch's files change, so the commit goes into the key and to the plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from synthbench.contract.options import is_weights, option_types
from synthbench.contract.weights import is_hub_id, split_revision
from synthbench.registry import Registry
from synthbench.suite.model import Suite

COMMIT = re.compile(r"[0-9a-f]{40}")
SMALL = ("model_index.json", "config.json")
"""Files that most repositories have: fetching one makes the hub's cache remember the revision's commit."""


def pinned(weights: str) -> str:
    """A hub id with the commit that the hub's cache has for its revision, by default `main`; as it is if the cache has none."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    name, revision = split_revision(weights)
    if revision and COMMIT.fullmatch(revision):
        return weights
    reference = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model") / "refs" / (revision or "main")
    with suppress(OSError, ValueError):
        return f"{name}@{reference.read_text().strip()}"
    return weights


def fetch_commits(suite: Suite, registry: Registry) -> None:
    """Asks the hub for the commits that its cache does not know. A repository that cannot be reached is left to its stage's error."""
    from huggingface_hub import hf_hub_download

    for weights in {*hub_ids(suite, registry)}:
        name, revision = split_revision(weights)
        for file in SMALL if pinned(weights) == weights else ():
            with suppress(Exception):  # the hub's errors have no common base class
                hf_hub_download(name, file, revision=revision)
                break


def hub_ids(suite: Suite, registry: Registry) -> Iterator[str]:
    """The hub ids in the suite's options."""
    for entry in (suite.data, *suite.generators, *suite.annotators, *suite.detectors):
        for name, kind in option_types(type(entry.plugin)).items():
            value = getattr(entry.plugin, name)
            if is_weights(kind) and isinstance(value, str) and value and value not in registry.checkpoints and is_hub_id(value):
                yield value
