"""Export a checkpoint to ONNX. Formats for datasets are in ``pipeline.data.formats``.

``command`` runs the export, ``verify`` compares the detections, ``quantize`` stores the weights in 8 bits.
"""
