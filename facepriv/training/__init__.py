"""Shared code of trainable plugins: augmentation, training loop, checkpoints. Needs torch."""
