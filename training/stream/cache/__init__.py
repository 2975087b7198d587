"""A log on disk as a fit is fed it: encoded rows, and raw ones."""
