"""From pictures to a declaration: what is seen of them, and what follows from it, each value with its reason."""
