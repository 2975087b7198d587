"""The pages for people, and what they begin with: served as they are, or put into one file."""
