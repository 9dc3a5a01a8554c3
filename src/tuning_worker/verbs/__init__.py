"""What the worker answers for a verb of `orch`: one module each, which reads the store and writes JSON to stdout."""
