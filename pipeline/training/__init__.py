"""Fine-tune a model: data set, augmentation, optimizer step, training loop, checkpoints of a run."""
