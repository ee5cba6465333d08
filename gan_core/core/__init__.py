"""The vocabulary that every other package is written in: samples and batches, networks and their inputs, games."""
