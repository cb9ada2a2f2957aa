"""Evaluate on a COCO dataset: matching, AP and AR with intervals, diagnosis, breakdown by scene factor.

Detections are matched once (``matching``); every other module computes its figures from those matches.
"""
