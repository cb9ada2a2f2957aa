"""Export of a checkpoint to ONNX. Formats for data sets are in ``pipeline.data.formats``.

``command`` runs the export, ``verify`` compares the detections, ``quantize`` stores the weights in 8 bits.
"""
