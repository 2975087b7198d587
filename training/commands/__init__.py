"""The commands of `afm-train`. Each imports what it needs when it runs: torch takes seconds, and
`--help` does without.
"""
