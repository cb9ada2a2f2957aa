"""Predict on images, videos and cameras, with a checkpoint or an exported ONNX model.

``segmenter`` is the Python API, ``predict`` the command; ``detections`` has the type of the results.
"""
