"""Who may ask for what: API keys and the right that each path needs."""
