"""Backbones with feature pyramids: torchvision's ResNet-50, timm's networks, and EfficientNet-Lite2."""
