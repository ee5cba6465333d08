"""What things cost, each against its alternative in the same run. One module a question; results are kept beside."""
