"""Measure the rendering speed by stage and in comparison with Cycles alone; ``make bench`` runs it."""
