"""One raw value: what it means, and what a field learnt of its numbers."""
