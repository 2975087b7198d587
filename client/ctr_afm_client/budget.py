"""How often a client may ask again: a share of its calls, so that no overload is made worse.

>>> budget = RetryBudget(share=0.5)
>>> budget.spend()
False
>>> budget.earn(), budget.earn(), budget.spend(), budget.spend()
(None, None, True, False)
"""

MOST_SAVED = 10.0  # retries in a row after many calls without one


class RetryBudget:
    """Each call earns `share` of a retry; safe for use in one event loop."""

    def __init__(self, share: float = 0.1) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"the share of retries must be from 0 to 1, not {share!r}")
        self._share = share
        self._saved = 0.0

    def earn(self) -> None:
        """Count a call."""
        self._saved = min(self._saved + self._share, MOST_SAVED)

    def spend(self) -> bool:
        """Whether there may be a retry now, which is then counted."""
        if self._saved < 1 - 1e-9:  # ten tenths are less than one
            return False
        self._saved -= 1
        return True
