"""Mask R-CNN: backbones, heads, losses, pretrained weights and checkpoints.

``mask_rcnn`` is the network, ``registry`` builds each model by name.
"""
