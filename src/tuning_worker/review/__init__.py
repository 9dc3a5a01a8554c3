"""Looking back at a session: what was recorded, how far it can be trusted, and the days that nobody has seen."""
