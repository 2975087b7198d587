"""One stack of containers with API keys, which the tests here share."""
