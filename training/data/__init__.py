"""A click log: tables, rows, schema drafts, simulations."""
