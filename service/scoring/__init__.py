"""One request to one answer; no HTTP."""
