"""HTTP and nothing else: bytes in, bytes out, errors to statuses."""
