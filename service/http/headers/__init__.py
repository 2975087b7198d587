"""What a caller says in headers beside its request."""
