"""The search space: what may be suggested, and what a point of it is."""
