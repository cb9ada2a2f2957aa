"""Helpers for all stages: stamp files, task pools, processes, seeds, optional packages and downloads."""
