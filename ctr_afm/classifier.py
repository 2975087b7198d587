"""scikit-learn's conventions around `fit`: a classifier of frames, or of arrays of numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ctr_afm.frames import Frame, table_of
from ctr_afm.functions import SchemaLike, drafted, fit, schema_of
from model.errors import AfmError
from model.schema import NumericField, Schema
from training.data.table import read_table

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"ClickClassifier needs scikit-learn: pip install 'ctr-afm[sklearn]' ({error})"
    ) from error


class ClickClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # ships no types
    """A net of ctr-afm as a classifier of two classes.

    X is a frame of polars, pandas or Arrow, or an array of numbers, whose fields are all numeric;
    NaN and null are missing values. The labels are given beside X, so that no column has the name
    of the schema's label.

    Args:
        net: the net; None for the configuration's.
        schema: a schema, its keys, or the path of its file; None drafts one from the frame.
        config: keys of a training configuration, or the path of its file.
        random_state: a number is the seed of `fit`.
        verbose: whether epochs and warnings are shown on stderr.

    Attributes:
        bundle_: the bundle, in a temporary directory.
        classes_: the two labels.
        n_features_in_, feature_names_in_: the columns.
    """

    def __init__(
        self,
        net: str | None = None,
        schema: SchemaLike | None = None,
        config: Mapping[str, Any] | str | Path | None = None,
        random_state: Any = 1,
        verbose: bool = False,
    ) -> None:
        self.net = net
        self.schema = schema
        self.config = config
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Frame | ArrayLike,  # noqa: N803  scikit-learn's name
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit on B rows and their labels [B], weighed by `sample_weight` [B].

        Raises:
            ValueError: what cannot be used, and why.
        """
        try:
            frame = self._checked(X, reset=True)
            given = None if self.schema is None else schema_of(self.schema)
            label = _free("click", frame) if given is None else given.label
            weight = None if sample_weight is None else _free("weight", frame)
            numbers = None if _is_frame(X) else frame.columns
            frame = frame.with_columns(self._codes(y, frame).alias(label))
            if weight is not None:
                frame = _weighed(frame, sample_weight, weight)
            if given is not None:
                schema = given if weight is None else _with_weight(given, weight)
            elif numbers is None:
                schema = drafted(table_of(frame), label, weight)
            else:  # an array has no names that say what is what
                kinds = {name: NumericField(kind="numeric") for name in numbers}
                schema = Schema(label=label, weight=weight, fields=kinds)
            self.bundle_ = fit(
                frame,
                schema,
                net=self.net,
                config=self.config,
                seed=self._seed(),
                progress=self.verbose,
            )
        except AfmError as error:
            raise ValueError(str(error)) from error
        return self

    def predict_proba(self, X: Frame | ArrayLike) -> NDArray[np.float64]:  # noqa: N803  as above
        """The probabilities of the two classes, float64 [B, 2].

        Raises:
            ValueError: what cannot be used, and why.
        """
        check_is_fitted(self)
        try:
            frame = self._checked(X, reset=False)
            clicks = self.bundle_.predict(frame).astype(np.float64)
        except AfmError as error:
            raise ValueError(str(error)) from error
        return np.stack([1 - clicks, clicks], axis=1)

    def predict(self, X: Frame | ArrayLike) -> NDArray[Any]:  # noqa: N803  as above
        """The more probable class of each row, [B].

        Raises:
            ValueError: what cannot be used, and why.
        """
        likelier = self.predict_proba(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[likelier]
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    def _checked(self, X: Any, *, reset: bool) -> pl.DataFrame:  # noqa: N803  as above
        # the rows as a frame, with the columns of the fit
        if _is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return read_table(table_of(X)).frame
        numbers = validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            ensure_min_samples=2 if reset else 1,
        )
        return pl.DataFrame({f"x{place}": column for place, column in enumerate(numbers.T)})

    def _codes(self, y: ArrayLike, frame: pl.DataFrame) -> pl.Series:
        # the labels as 0 and 1; sets `classes_`
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        labels = column_or_1d(y, warn=True)
        check_consistent_length(frame, labels)
        given = pl.Series(labels.tolist(), strict=False)
        if given.null_count() or (given.dtype.is_float() and given.is_nan().any()):
            raise ValueError("a label is missing")
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) > 2:
            kind = type_of_target(labels)
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        return pl.Series(codes)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))


def _is_frame(X: Any) -> bool:  # noqa: N803  as above
    return hasattr(X, "__dataframe__") or hasattr(X, "__arrow_c_stream__")


def _free(name: str, frame: pl.DataFrame) -> str:
    while name in frame.columns:
        name += "_"
    return name


def _with_weight(schema: Schema, weight: str) -> Schema:
    return Schema.model_validate({**schema.model_dump(), "weight": weight})


def _weighed(frame: pl.DataFrame, given: ArrayLike | None, name: str) -> pl.DataFrame:
    # the rows that weigh something
    weights = column_or_1d(given, dtype=np.float64)
    check_consistent_length(frame, weights)
    if not weights.any():
        raise ValueError("every sample weight is zero")
    return frame.with_columns(pl.Series(name, weights)).filter(weights != 0)
