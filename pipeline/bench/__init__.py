"""Benchmark of speed and memory, each figure beside a reference (``make bench``), and profile studies.

``parts`` measures, ``report`` writes the page, ``study`` compares variants of a profile by AP.
"""
