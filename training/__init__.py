"""The offline half: a click log in, a bundle out. Knows no Redis and no HTTP."""
