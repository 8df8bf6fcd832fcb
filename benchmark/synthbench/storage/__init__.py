"""Artifacts: where they are stored, and reading them as image sets."""
