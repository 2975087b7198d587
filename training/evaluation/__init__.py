"""What a fitted net is worth, as numbers."""
