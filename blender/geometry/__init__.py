"""Meshes as numpy arrays, lens models, and model files of users."""
