"""Environments of long chains in bounded memory: most are forgotten and made again when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tnkit.arrays import Array
from tnkit.errors import ArgumentError
from tnkit.mps.sweep import Move

__all__ = ["Windowed"]


class _Block:
    """The environment of some sites: its value, or what it takes to compute it again."""

    __slots__ = ("_array", "_before", "_grow", "_site", "depth", "value")

    def __init__(self, value: Any, grow: Any, before: _Block | None, array: Any, site: int) -> None:
        self.value = value
        self.depth: int = 0 if before is None else before.depth + 1
        self._grow = grow
        self._before = before
        self._array = array
        self._site = site

    def get(self) -> Any:
        """Return the value; where it was forgotten, compute it and those before it again."""
        missing: list[_Block] = []
        block: _Block | None = self
        while block is not None and block.value is None:
            missing.append(block)
            block = block._before
        assert block is not None  # the edge is never forgotten
        value = block.value
        for one in reversed(missing):
            value = one.value = one._grow(value, one._array, one._site)
        return value

    def forget_since(self, every: int) -> None:
        """Forget the values between this block and the last one kept for good."""
        block = self._before
        while block is not None and block.depth % every:
            block.value = None
            block = block._before


class Windowed:
    """A problem for the sweep driver whose environments take bounded memory.

    Of the environments behind the centre only every `every`-th is kept, and those of the stretch
    that the centre is in; the others are computed again, a stretch at a time, when the centre
    comes back. With `every` near the square root of the length, memory falls from L environments
    to about 3 sqrt(L), at the price of growing each one twice. Results are the same bit for bit.

    problem: any problem of `tnkit.sweep`, for two sites, one site, or one site with expansion.
    Raises `ArgumentError` where `every` is not a whole number from 1 up.
    Source: Griewank and Walther, ACM Trans. Math. Softw. 26, 19 (2000), for the idea of
    checkpoints in a chain of computations.

    >>> from tnkit.mps.create import random_mps
    >>> from tnkit.mps.fit import FitProblem, FitTarget
    >>> from tnkit.mps.sweep import open_zipper
    >>> psi = random_mps(9, bond_dim=2, seed=0)
    >>> open_zipper(psi, Windowed(FitProblem((FitTarget(1.0, psi),)), 3))
    Zipper(9 sites, centre 8 of shape (2, 2, 1))
    """

    __slots__ = ("_every", "_problem", "directions")

    def __init__(self, problem: Any, every: int) -> None:
        """Wrap a problem."""
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ArgumentError(f"every must be a whole number from 1 up, got {every!r}")
        self._problem = problem
        self._every = every
        if hasattr(problem, "directions"):  # one_site asks whether there are any
            self.directions = self._directions

    def left_edge(self) -> Any:
        """Return the environment left of site 0."""
        return _Block(self._problem.left_edge(), None, None, None, -1)

    def right_edge(self) -> Any:
        """Return the environment right of the last site."""
        return _Block(self._problem.right_edge(), None, None, None, -1)

    def grow_left(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb a site from the left."""
        return self._grown(self._problem.grow_left, environment, array, site)

    def grow_right(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb a site from the right."""
        return self._grown(self._problem.grow_right, environment, array, site)

    def solve(self, left: Any, block: Array, right: Any, bond: int) -> tuple[Array, float]:
        """Solve two sites."""
        solved: tuple[Array, float] = self._problem.solve(left.get(), block, right.get(), bond)
        return solved

    def solve_site(self, left: Any, array: Array, right: Any, site: int) -> tuple[Array, float]:
        """Solve one site."""
        solved: tuple[Array, float] = self._problem.solve_site(left.get(), array, right.get(), site)
        return solved

    def _directions(
        self, left: Any, first: Array, second: Array, right: Any, move: Move, count: int
    ) -> Array:
        return self._problem.directions(left.get(), first, second, right.get(), move, count)

    def _grown(self, grow: Callable[..., Any], before: _Block, array: Array, site: int) -> _Block:
        block = _Block(grow(before.get(), array, site), grow, before, array, site)
        if block.depth % self._every == 0:
            block.forget_since(self._every)
        return block
