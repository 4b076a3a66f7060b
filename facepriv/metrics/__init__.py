"""Pure functions on arrays: verification, attributes, and intervals by resampling people.

Rates are shares in [0, 1]; convert to percent for display. A higher score always means "more likely the same person",
or "more likely the positive class".
"""
