"""What a fit leaves behind, and what another fit begins from."""
