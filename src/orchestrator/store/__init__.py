"""The durable facts, in Redis: its keys, its atomic writes, and the ways to reach it."""
