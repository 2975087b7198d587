"""afm-train tune: a search for settings."""
