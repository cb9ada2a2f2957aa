"""Mask R-CNN: the network, its backbones and heads, pretrained weights, checkpoints.

Start at ``mask_rcnn`` (the model class) and ``registry`` (names of models). ``pretrained`` chooses the start
weights, ``checkpoint`` saves and loads a trained model.
"""
