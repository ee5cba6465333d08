"""What a run will cost, from its own stages run on less: fewer steps, fewer pictures, fewer samples."""
