"""A click log whose truth is known, drawn instead of recorded."""
