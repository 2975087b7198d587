"""What each path does with a request."""
