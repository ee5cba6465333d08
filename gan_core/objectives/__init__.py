"""Pure functions of scores and samples: no network, no optimizer, no file."""
