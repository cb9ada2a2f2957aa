"""Augmentation of training samples: geometry, copy-paste and camera effects.

``augmentation.py`` combines the steps. Each step changes masks, boxes and keypoints together with the image.
"""
