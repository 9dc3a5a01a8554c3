"""orch: runs tuning sessions, many parameter sets on many processes, with not one result lost."""
