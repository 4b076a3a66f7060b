"""Weights and prototypes that the package ships."""
