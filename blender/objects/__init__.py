"""The kinds of objects, one module or package each. ``blender.kinds.ObjectKind`` documents the interface.

The key ``builder`` of a profile's table names a kind. ``blender.kinds.find_kind`` imports it from here.
"""
