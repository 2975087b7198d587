"""A log scored in shards, each by a job of its own."""
