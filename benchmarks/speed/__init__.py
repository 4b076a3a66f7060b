"""The parts of bench.py, and what they share: timing in turns, ratios with bars, one table and one JSON layout."""
