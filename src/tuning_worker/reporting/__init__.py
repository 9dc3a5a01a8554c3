"""What is made of a session's records: a table in a file, and a report to look at. It reads what was recorded only."""
