"""From a source to a prepared data set, and from a prepared data set to batches."""
