"""Below ASGI: one caller's connection, from its first byte to its end."""
