"""Fits that processes of a Ray cluster share; Ray places, starts and restarts them."""
