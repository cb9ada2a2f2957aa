"""The HTML report and the model card of a run; the statistics and the card of a dataset."""
