"""What several test files need, apart from fixtures."""
