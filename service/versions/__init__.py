"""Which version is served, and how another one takes its place."""
