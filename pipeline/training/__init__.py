"""Fine-tune Mask R-CNN: data set, augmentation, data loader, optimizer, training loop, state of a run.

Start at ``fit.py``, the run over epochs, and ``loop.py``, one epoch.
"""
