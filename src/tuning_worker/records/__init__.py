"""What is recorded of an iteration: in the CSV, in the store, and beside them."""
