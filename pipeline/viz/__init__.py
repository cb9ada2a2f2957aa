"""Draw masks on images, contact sheets of a split, and plots of training, evaluation and statistics."""
