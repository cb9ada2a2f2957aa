"""Render many frames: worker processes, the dispatcher, Dask, the manifest of a split."""
