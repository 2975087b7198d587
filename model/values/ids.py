"""Ids within a field. A field takes consecutive rows of the one embedding table: first the three of
ABSENT (padding), MISSING (null, where the schema asks for a token) and UNKNOWN, then from FIRST on
those of what it learnt.
"""

ABSENT, MISSING, UNKNOWN, FIRST = 0, 1, 2, 3
