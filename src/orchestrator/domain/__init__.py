"""What sessions and jobs are and how they change: pure, without I/O, clock or event loop."""
