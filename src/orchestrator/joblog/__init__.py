"""The log of one job: what its processes wrote, a JSON record a line, in a rotated file. `log.py` is where to begin."""
