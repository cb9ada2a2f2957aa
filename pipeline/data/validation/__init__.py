"""The rules of a COCO instances file: find what breaks them, and write a repaired copy.

``rules`` holds the registry. ``dataset``, ``categories``, ``images``, ``annotations`` and ``masks`` hold the
rules with their fixes. ``check`` runs the rules and applies the fixes.
"""
