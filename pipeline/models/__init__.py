"""Mask R-CNN: backbones, heads, pretrained weights, checkpoints."""
