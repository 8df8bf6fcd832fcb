"""Reads labelled photographs in common annotation formats."""
