"""The directory that a version is: written once, verified when opened."""
