"""Bake posed human bodies with anny to .npz files."""
