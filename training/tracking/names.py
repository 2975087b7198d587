"""Names of steps and metrics as trackers take them.

>>> plain_name("afm+"), plain_name("ndcg@10")
('afm_plus', 'ndcg_10')
"""

import re


def plain_name(name: str) -> str:
    """A name of letters, digits and a few other signs."""
    return re.sub(r"[^\w. -]", "_", name.replace("+", "_plus"))
