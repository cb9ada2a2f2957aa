"""Export a checkpoint to ONNX, and check that its detections do not change.

``export`` is the command; ``onnx_model`` traces the network, ``verify`` compares the detections.
"""
