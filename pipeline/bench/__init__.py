"""``make bench``: how fast, how large, each beside a reference; see ``pipeline.bench.__main__``."""
