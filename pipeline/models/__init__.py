"""Mask R-CNN: the network, its backbones, heads and losses, pretrained weights, checkpoints.

Start with ``mask_rcnn`` (the model class) and ``registry`` (names of models). ``pretrained`` chooses the
start weights, ``checkpoint`` saves and loads a trained model.
"""
