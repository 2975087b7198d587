"""What is noted of requests beside the metrics, where an operator or a caller asks for it."""
