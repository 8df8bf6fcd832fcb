"""Running stages: the runner, its engines, the worker process, and the environments of plugins."""
