"""The supervisor: it runs sessions. `supervisor.py` is where to begin reading."""
