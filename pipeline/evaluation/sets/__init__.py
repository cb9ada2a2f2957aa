"""Several named sets that one model is evaluated on: their figures, and their worst false alarms.

``read`` reads them, ``figures`` computes the figures of one, ``false_alarms`` crops its false alarms.
"""
