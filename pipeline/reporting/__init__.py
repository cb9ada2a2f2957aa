"""The HTML report and the model card of a run; the statistics and the card of a data set.

``report`` collects the figures and fills ``templates/``. ``galleries`` and ``mistakes`` choose its images.
"""
