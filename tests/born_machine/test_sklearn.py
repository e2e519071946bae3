"""BornMachine among scikit-learn's own tools."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer
from sklearn.utils.estimator_checks import check_estimator

from born_machine import BornMachine, bars_and_stripes

CONTINUOUS = "feeds real numbers; a Born machine models whole numbers and refuses others"
SETTINGS: dict[str, Any] = {"sweeps": 1, "max_bond": 4, "device": "cpu", "random_state": 0}

EXPECTED = dict.fromkeys(
    [
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_dtype_object",
        "check_estimators_dtypes",
        "check_estimators_fit_returns_self",
        "check_estimators_overwrite_params",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_pipeline_consistency",
        "check_readonly_memmap_input",
    ],
    CONTINUOUS,
)


class CutAtOne(BornMachine):  # type: ignore[misc]
    """The same estimator with its input binarised, so that the checks' real numbers mean something.

    What is no array of finite numbers is passed on as it is: refusing it is the estimator's job.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags

    @staticmethod
    def _cut(X: Any) -> Any:
        values = X if isinstance(X, np.ndarray) else None
        if values is None or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            return X
        return (values > 1.0).astype(np.int64)

    def fit(self, X: Any, y: Any = None, **more: Any) -> CutAtOne:
        return super().fit(self._cut(X), y, **more)

    def partial_fit(self, X: Any, y: Any = None) -> CutAtOne:
        return super().partial_fit(self._cut(X), y)

    def score_samples(self, X: Any) -> Any:
        return super().score_samples(self._cut(X))


def failures(estimator: Any, expected: dict[str, str]) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks warn about what they skip
        results = check_estimator(
            estimator, expected_failed_checks=expected, on_fail=None, on_skip=None
        )
    return {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "failed"}


def test_every_check_passes_but_those_that_feed_real_numbers() -> None:
    assert failures(BornMachine(**SETTINGS), EXPECTED) == {}


def test_with_binarised_input_the_checks_pass() -> None:
    assert failures(CutAtOne(levels=2, **SETTINGS), {}) == {}


def test_pipelines_grids_and_cross_validation() -> None:
    digits = np.random.default_rng(0).random((60, 6))
    pipeline = make_pipeline(Binarizer(threshold=0.5), BornMachine(**SETTINGS))
    assert cross_val_score(pipeline, digits, cv=3).shape == (3,)
    search = GridSearchCV(BornMachine(**SETTINGS), {"max_bond": [2, 4]}, cv=2)
    search.fit(bars_and_stripes(3, 3))
    assert search.best_params_["max_bond"] in (2, 4)
    assert np.isfinite(search.score(bars_and_stripes(3, 3)))


def test_feature_names_of_a_table_are_kept_and_checked(tmp_path: Any) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(bars_and_stripes(2, 2), columns=list("abcd"))
    machine = BornMachine(**SETTINGS).fit(table)
    assert machine.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert np.isfinite(machine.score(table))
    machine.save(tmp_path / "m.npz")
    for one in (machine, BornMachine.load(tmp_path / "m.npz")):
        with pytest.raises(ValueError, match="feature names"):
            one.score(table[list("bacd")])
