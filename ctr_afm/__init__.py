"""ctr-afm for notebooks: a click log as a frame in, a bundle out, and why it scores as it does.

from ctr_afm import Bundle, ClickClassifier, evaluate, explain, fit

bundle = fit(log, label="click")
evaluate(bundle, tomorrow)["auc"]
explain(bundle, tomorrow.head(1))
"""

from typing import TYPE_CHECKING, Any

from ctr_afm.own_packages import load_own_packages

load_own_packages()  # before anything of them is imported

from ctr_afm.bundle import Bundle  # noqa: E402  see above
from ctr_afm.functions import evaluate, explain, fit  # noqa: E402  see above

if TYPE_CHECKING:
    from ctr_afm.classifier import ClickClassifier

__all__ = ["Bundle", "ClickClassifier", "evaluate", "explain", "fit"]


def __getattr__(name: str) -> Any:
    # the one name that needs scikit-learn
    if name != "ClickClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ctr_afm.classifier import ClickClassifier

    return ClickClassifier
