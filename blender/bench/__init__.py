"""Rendering speed by stage, beside Cycles alone. ``make bench`` runs it."""
