"""One process tree from its start to its complete end. `tree.py` is where to begin; `procfs.py` is light to import."""
