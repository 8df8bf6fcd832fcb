"""A suite: what to compare, read from TOML or made of Python values, every name and option checked."""
