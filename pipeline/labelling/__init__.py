"""Exchange labels with annotation tools (CVAT, Label Studio, any COCO editor).

``prelabel`` writes a model's detections as labels to correct; ``import_labels`` reads the corrected labels.
"""
