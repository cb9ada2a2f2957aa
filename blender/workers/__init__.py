"""Render many frames in parallel: worker processes, dispatch, the Dask backend, the split's manifest."""
