"""The evaluation of one suggestion, in a process of its own."""
