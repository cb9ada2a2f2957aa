"""Prediction on images, videos and cameras, with a checkpoint or an exported ONNX model.

``segmenter`` is the Python API, ``predict`` the command; ``detections`` is the type that both return.
"""
