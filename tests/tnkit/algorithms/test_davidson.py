"""The local eigensolver against LAPACK."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tnkit.algorithms.davidson import lowest_vector


@given(
    st.integers(1, 8), st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_with_depth_enough_it_is_the_lowest_eigenvector(
    size: int, hidden: int, is_complex: bool, helped: bool, seed: int
) -> None:
    """Also of what is left where some vectors, dependent ones too, are kept out."""
    rng = np.random.default_rng(seed)
    draw = rng.standard_normal((2, size, size + hidden + 1))
    parts = draw[0] + 1j * draw[1] if is_complex else draw[0]
    matrix = parts[:, :size] + parts[:, :size].conj().T
    start, away = parts[:, size], list(parts[:, size + 1 :].T)
    away = away[: max(size - 1, 0)]
    away += away[:1]
    diagonal = np.diag(matrix).real if helped else None
    value, vector = lowest_vector(lambda v: matrix @ v, start, 3 * size, away, diagonal=diagonal)
    kept = np.eye(size)
    if away:
        q, _ = np.linalg.qr(np.stack(away[:-1] or away, axis=1))
        kept = kept - q @ q.conj().T
    lift = 1e3 * (np.eye(size) - kept)
    assert value == pytest.approx(np.linalg.eigvalsh(kept @ matrix @ kept + lift)[0], abs=1e-8)
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    assert np.linalg.norm(kept @ vector - vector) < 1e-8
    assert (vector.conj() @ matrix @ vector).real == pytest.approx(value, abs=1e-8)


def test_it_stops_where_the_gain_is_reached() -> None:
    rng = np.random.default_rng(0)
    matrix = np.diag(np.arange(40.0)) + 0.1 * rng.standard_normal((40, 40))
    matrix = matrix + matrix.T
    start = np.eye(40)[0] + 0.1 * rng.standard_normal(40)
    counts = []
    for gain in (0.0, 1e-3, 0.1, 1.0):
        calls: list[int] = []

        def act(v: np.ndarray, calls: list[int] = calls) -> np.ndarray:
            calls.append(1)
            return matrix @ v

        lowest_vector(act, start, 12, diagonal=np.diag(matrix), gain=gain)
        counts.append(len(calls))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 12
    assert counts[-1] == 1
