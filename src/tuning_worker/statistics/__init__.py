"""How far the best of many tries can be trusted. Pure functions of numbers, each with its source."""
