"""The HTML report, the model card, a data set's statistics and card."""
