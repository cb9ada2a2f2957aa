"""The rules of a COCO instances file: find the problems, and write a repaired copy.

``rules`` contains the registry. ``dataset``, ``categories``, ``images``, ``annotations`` and ``masks``
contain the rules with their fixes. ``check`` runs the rules and applies the fixes.
"""
