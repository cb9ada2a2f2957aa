"""Augmentation of training samples: geometry, copy-paste and camera effects.

``augmentation.py`` puts the steps together; images, masks, boxes and keypoints stay consistent throughout.
"""
