"""Shared inference code of methods with torch networks: device features, and convolutions by oneDNN."""
