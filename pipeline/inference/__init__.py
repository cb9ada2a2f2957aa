"""Predict pictures, videos and cameras with a checkpoint or an exported model."""
