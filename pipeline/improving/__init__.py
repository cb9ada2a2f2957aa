"""The loop of ``transpalette improve``: where a model is surely weak decides what is rendered next.

Each round writes its files to a folder of its own; every decision is a pure function of such files.
"""
