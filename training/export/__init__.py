"""A fitted net to the files of a bundle."""
