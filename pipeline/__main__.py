"""``python -m pipeline`` is the ``transpalette`` command."""

from pipeline.cli import main

main()
