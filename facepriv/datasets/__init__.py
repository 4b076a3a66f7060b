"""Readers of face data sets in their native layouts, fixed splits, and the training pack built from them."""
