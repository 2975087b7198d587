"""One stack of containers, which the tests here share."""
