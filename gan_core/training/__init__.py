"""The loop that trains any game and knows none by name, and what keeps a run safe: state, average, progress, lock."""
