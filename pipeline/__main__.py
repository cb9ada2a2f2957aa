"""``python -m pipeline`` runs the ``transpalette`` command."""

from pipeline.cli import main

main()
