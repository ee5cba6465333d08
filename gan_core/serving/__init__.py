"""Runs a real Triton server on this machine, also without a GPU, over the repositories that export writes."""
