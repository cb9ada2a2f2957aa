"""COCO results files of any tool: read them, match them to the images and categories of a dataset.

``load`` reads and checks a file. ``images`` and ``categories`` find out what its ids and names mean.
``no_match`` explains an AP of 0.
"""
