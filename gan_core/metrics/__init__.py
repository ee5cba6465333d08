"""Measures of a generator. Each yields (name, value) and knows nothing of files or logs."""
