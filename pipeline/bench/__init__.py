"""Benchmark of speed and memory with references (``make bench``), and profile studies (``make study``).

``parts`` measures, ``report`` writes the page, ``study`` compares variants of a profile by AP.
"""
