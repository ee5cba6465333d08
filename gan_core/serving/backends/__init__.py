"""Inference servers: what each loads, how it is started here, and its container elsewhere."""
