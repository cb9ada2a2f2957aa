"""Augmentation of training samples: geometry, copy-paste, camera effects, amplitude jitter.

``augmentation.py`` combines the steps. Each step changes masks, boxes and keypoints together with the image.
"""
