"""The renderer's tables of a profile as frozen dataclasses: [render], [scene] and all tables below them.

The annotation of a field gives its limits, the docstring its meaning. ``load_config`` reads and checks them.
"""
