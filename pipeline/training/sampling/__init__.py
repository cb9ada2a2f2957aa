"""Which images each pass of training uses: those of the labelled sets, negatives, and mined images.

``negatives.py`` reads photographs without objects, ``images.py`` draws a pass's images, and ``mining.py``
measures on which images the model raises false alarms.
"""
