"""One offline page about all runs, and the same in a few lines for a terminal. Reads what the stages wrote."""
