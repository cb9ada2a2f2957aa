"""Fine-tune Mask R-CNN: dataset, augmentation, data loader, optimizer, training loop, checkpoints of a run.

Start with ``fit.py``, which runs all epochs, and ``loop.py``, which trains one epoch.
"""
