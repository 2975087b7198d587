"""Drafts of a schema: what the columns of a log look like."""
