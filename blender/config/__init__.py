"""The renderer's tables of a profile as frozen dataclasses: [render], [scene] and everything below.

A field's annotation gives its limits, its docstring the meaning; ``load_config`` reads and checks them.
"""
