"""Fields whose values stay in Redis: looked up as requests name them."""
