"""Train for one epoch."""

from __future__ import annotations

import torch

from pipeline.common.seeds import derive_seed
from pipeline.config import Profile, UserError
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.training.data_loader import TrainLoader
from pipeline.training.device import autocast
from pipeline.training.distributed import all_reduce
from pipeline.training.feature_cache import FeatureCache, forward_losses
from pipeline.training.progress import Progress
from pipeline.training.schedule import learning_rate_factor
from pipeline.training.sharded_optimizer import ShardedOptimizer


def train_one_epoch(
    model: TranspaletteMaskRCNN,
    optimizer: ShardedOptimizer,
    data_loader: TrainLoader,
    device: torch.device,
    epoch: int,
    *,
    profile: Profile,
    precision: str,
    scaler: torch.amp.GradScaler,
    feature_cache: FeatureCache,
    progress: Progress,
) -> dict[str, float]:
    """Train for one epoch, that is, ``passes`` passes through the dataset.

    Args:
        model: the model; it is set to training mode.
        optimizer: updates the trainable parameters and the EMA model.
        data_loader: yields the batches.
        device: the model's device.
        epoch: number of the epoch, from 0.
        profile: the profile; its [train] table is that of the start weights (``TrainConfig.of_start``).
        precision: "fp32", "bf16" or "fp16".
        scaler: scales the loss in fp16; disabled at another precision.
        feature_cache: the feature cache, which the data loader also uses.
        progress: called after each step with the number of its images and its loss.

    Returns:
        Means over the epoch: of each loss, and of their sum ("loss").

    Raises:
        UserError: a loss or gradient is NaN or infinite; the message names the images.
    """
    config, steps = profile.train, len(data_loader)
    names = model.loss_names
    epoch_losses = torch.zeros(len(names), device=device)
    model.train()
    for step, batch in enumerate(data_loader.batches(epoch), start=epoch * steps):
        factor = learning_rate_factor(step, config.epochs * steps, config)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * group["lr_factor"] * factor

        optimizer.zero_grad()
        batch_losses = torch.zeros(len(names), device=device)
        for chunk in batch.chunks:
            # The model samples anchors and boxes, and scales images, with the global generator.
            seed = derive_seed(profile.seed, batch.data_pass + 1, chunk.indices[0])
            torch.manual_seed(seed)
            with autocast(precision, device):
                key = (batch.view, chunk.indices[0])
                features = feature_cache.features(model, key, chunk.images, chunk.targets)
                if feature_cache.repeats(batch.data_pass):
                    torch.manual_seed(seed)  # the same state whether the features were cached or not
                losses = forward_losses(model, features)
            if data_loader.background_losses:
                data_loader.background_losses.add(chunk.indices, model.roi_heads.background_losses)
            weight = len(chunk.indices) / len(batch.indices)
            chunk_losses = torch.stack([losses[name].float() for name in names]) * weight
            if not torch.isfinite(chunk_losses).all():
                raise UserError(not_finite("loss", epoch, data_loader, chunk.indices))
            scaler.scale(chunk_losses.sum()).backward()
            batch_losses += chunk_losses.detach()

        optimizer.all_reduce_gradients()
        all_reduce(batch_losses)
        scaler.unscale_(optimizer.optimizer)
        grad_norm = optimizer.grad_norm()
        if not (scaler.is_enabled() or torch.isfinite(grad_norm)):  # in fp16 the scaler skips such a step
            raise UserError(not_finite("gradient", epoch, data_loader, batch.indices))
        if config.clip_grad_norm:  # the formula of torch.nn.utils.clip_grad_norm_
            optimizer.scale_gradients((config.clip_grad_norm / (grad_norm + 1e-6)).clamp(max=1.0))
        optimizer.step(scaler)
        # The decay grows with the number of steps, as in TensorFlow's ExponentialMovingAverage.
        optimizer.update_ema(decay=min(config.ema, (1 + step) / (10 + step)))
        scaler.update()

        epoch_losses += batch_losses / steps
        progress(len(batch.indices), batch_losses.sum().item())
    if data_loader.background_losses:
        data_loader.background_losses.end_epoch()
    means = {"loss": epoch_losses.sum().item(), **dict(zip(names, epoch_losses.tolist(), strict=True))}
    return {name: round(value, 6) for name, value in means.items()}


def not_finite(quantity: str, epoch: int, data_loader: TrainLoader, indices: list[int]) -> str:
    """Return the message for a loss or gradient that is NaN or infinite."""
    names = ", ".join(data_loader.dataset.name(i) for i in indices)
    return (
        f"the {quantity} is not finite in epoch {epoch + 1} on {names}; check these images ('transpalette "
        "validate') or lower [train] lr; last.safetensors is that of the epoch before"
    )
