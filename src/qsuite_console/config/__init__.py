"""Typed settings and where each value came from. Reads files and the environment, nothing else."""
