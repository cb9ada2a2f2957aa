"""COCO metrics with intervals, diagnosis, breakdown by scene factor, comparison with a baseline."""
