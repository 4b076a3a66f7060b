"""Attacks on protected faces: `run` executes them, `rows` computes figures from their predictions."""
