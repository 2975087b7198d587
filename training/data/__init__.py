"""A click log: tables, rows, leaks, simulations."""
