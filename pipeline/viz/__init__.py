"""Drawings: masks on images, contact sheets of a split, plots of training, evaluation and statistics."""
