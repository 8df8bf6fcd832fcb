"""Engines that run stages on other machines: Ray, SLURM."""
