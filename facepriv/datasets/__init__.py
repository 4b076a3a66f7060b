"""Readers of face data sets in their native layouts, their one split, and the training pack made of them."""
