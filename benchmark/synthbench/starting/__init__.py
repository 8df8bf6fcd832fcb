"""First suites: the example, and a suite for a folder of photographs, each a TOML file in which comments explain every line."""
