"""Export of a checkpoint to ONNX, with a check that its detections stay the same."""
