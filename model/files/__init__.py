"""Files: TOML into checked objects, and files that are there whole or not at all."""
