"""The kinds of objects, one module or package each. ``blender.kinds.ObjectKind`` documents the interface.

A profile's table names a kind (``builder = "pallet"``). ``blender.kinds.find_kind`` finds it in this folder.
"""
