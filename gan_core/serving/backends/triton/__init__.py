"""NVIDIA Triton: a repository it loads as it is, the real server on this machine's CPU, and its image elsewhere."""
