"""A log larger than memory: read in blocks, counted, encoded into files, and fed from them."""
