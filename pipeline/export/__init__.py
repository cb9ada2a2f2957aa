"""Write a checkpoint as one file for other runtimes, and verify that it predicts the same."""
