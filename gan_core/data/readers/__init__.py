"""Readers of what a user's images lie in: folders, archives, IDX, NumPy and Parquet files."""
