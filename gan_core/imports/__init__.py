"""Networks that were trained elsewhere, as this project's own: measured, exported and served like a run's."""
