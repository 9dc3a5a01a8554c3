"""Feeds in files of their own: read, validated, imported from other formats, looked at, and merged once for a host."""
