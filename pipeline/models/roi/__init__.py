"""Regions of interest: pooling, sampling for training, box and mask heads."""
