"""Files that are elsewhere, copied to this machine."""
