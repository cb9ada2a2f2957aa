"""Measure tracking against ground truth in COCO-VID style: HOTA, IDF1 and MOTA by TrackEval.

A frame-by-frame IoU matching of the same detections is measured beside the tracker.
"""
