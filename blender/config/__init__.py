"""The renderer's tables of a profile as frozen dataclasses: ranges, defaults and their checks."""
