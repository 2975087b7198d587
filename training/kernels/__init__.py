"""Compiled forward and backward passes of the nets, and updates of the rows that a batch uses."""
