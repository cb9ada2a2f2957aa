"""Render many frames in parallel.

``dispatch`` hands out the frames and retries those that fail. ``pool`` starts and replaces the processes of
this machine, each of which runs ``worker_main``; ``dask_backend`` uses a Dask cluster. ``manifest`` describes
the finished split.
"""
