"""The declared runs on several machines: a workspace for each, that all nodes see; their stages; and their way home."""
