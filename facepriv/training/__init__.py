"""Shared code of trainable plugins: options, material, augmentation, training loop. Most of it needs torch."""
