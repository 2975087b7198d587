"""HTTP alone: bytes in, bytes out, errors to statuses."""
