"""Real pictures to begin with."""
