"""The rules of a COCO instances file: find the faults, and write a repaired copy.

``rules`` holds the registry. ``dataset``, ``images``, ``annotations`` and ``masks`` hold the rules with
their fixes. ``check`` runs the rules and applies the fixes.
"""
