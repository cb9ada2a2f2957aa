"""Write the HTML report and the model card of a run, and the statistics and the card of a dataset.

``report`` collects the figures and fills ``templates/``. ``galleries`` and ``mistakes`` choose its images.
"""
