"""What the plugins that learn share: augmentation, the loop's bookkeeping, checkpoints. Needs torch."""
