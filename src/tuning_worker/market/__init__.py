"""The recorded market: its data, the paper engine that trades on it, and what the result means."""
