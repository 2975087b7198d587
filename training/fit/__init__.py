"""One net from encoded rows."""
