"""The one sweep driver: a centre walks the chain, a local problem is solved, the bond is split.

DMRG, variational fitting and Born-machine training differ in two things only: what a block of
the chain to the left or right of the centre contracts to, and how the tensor at the centre is
improved. A `Problem` says both; everything else is here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tnkit.arrays import Array, namespace, reshape
from tnkit.errors import ArgumentError, SizeError
from tnkit.mps.gauge import canonicalize
from tnkit.mps.state import MPS, Gauge
from tnkit.splitting import split_matrix
from tnkit.truncation import Truncation

__all__ = [
    "Move",
    "Problem",
    "Step",
    "StepInfo",
    "Zipper",
    "close_zipper",
    "open_zipper",
    "round_trip",
    "sweep",
    "two_site",
]


class Problem(Protocol):
    """What an algorithm brings to the sweep. Environments are its own; the driver stacks them."""

    def left_edge(self) -> Any:
        """Return the environment left of site 0."""

    def right_edge(self) -> Any:
        """Return the environment right of the last site."""

    def grow_left(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb the left-orthonormal `array` of `site` into the environment of sites < site."""

    def grow_right(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb the right-orthonormal `array` of `site` into the environment of sites > site."""

    def solve(self, left: Any, block: Array, right: Any, bond: int) -> tuple[Array, float]:
        """Return the improved block (left, site, site + 1, right) of `bond`, and the loss."""


class _Frame(NamedTuple):
    """A site the centre has left behind, the environment up to and with it, and those beyond."""

    array: Array
    environment: Any
    beyond: _Frame | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Zipper:
    """A chain opened at its centre: a stack of sites on either side, nearest first. Frozen.

    A step makes a new zipper and shares all but the sites at its bond, so a bond costs O(1)
    whatever the length, any earlier zipper stays valid, and stopping loses nothing.
    """

    left: _Frame
    centre: Array
    right: _Frame
    position: int
    sites: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.sites)

    def __repr__(self) -> str:
        """Describe the zipper in one line."""
        shape = tuple(self.centre.shape)
        return f"Zipper({len(self)} sites, centre {self.position} of shape {shape})"


class Move(NamedTuple):
    """Update `bond` (sites bond, bond + 1) and leave the centre on its right or left site."""

    bond: int
    rightwards: bool


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What one step did.

    loss: of the whole state before the step (an energy, a mean NLL in nats). discarded_weight:
    relative, sum of dropped squared singular values over all. seconds: wall time of the step.
    """

    bond: int
    rightwards: bool
    loss: float
    kept: int
    discarded_weight: float
    seconds: float = 0.0


Step = Callable[[Zipper, Move], tuple[Zipper, StepInfo]]


def open_zipper(psi: MPS, problem: Problem, centre: int = -1) -> Zipper:
    """Open `psi` at `centre` (canonicalising where needed) with all environments of `problem`.

    The norm carried by log_scale is left out: sweeps work on the arrays. Cost: one pass of
    `problem.grow_left` and `grow_right` over the chain.
    """
    psi = canonicalize(psi, centre)
    position = centre % len(psi)
    left = _Frame(None, problem.left_edge(), None)
    for k in range(position):
        left = _push(left, psi.arrays[k], problem.grow_left, k)
    right = _Frame(None, problem.right_edge(), None)
    for k in range(len(psi) - 1, position, -1):
        right = _push(right, psi.arrays[k], problem.grow_right, k)
    return Zipper(left, psi.arrays[position], right, position, psi.sites)


def close_zipper(zipper: Zipper) -> MPS:
    """Return the state as an MPS, its centre where the zipper stands."""
    before, frame = [], zipper.left
    while frame.beyond is not None:
        before.append(frame.array)
        frame = frame.beyond
    after, frame = [], zipper.right
    while frame.beyond is not None:
        after.append(frame.array)
        frame = frame.beyond
    gauge = Gauge(zipper.position, len(zipper) - 1 - zipper.position)
    return MPS((*reversed(before), zipper.centre, *after), zipper.sites, gauge)


def _push(frame: _Frame, array: Array, grow: Callable[..., Any], site: int) -> _Frame:
    return _Frame(array, grow(frame.environment, array, site), frame)


def round_trip(length: int, *, from_right: bool = True) -> tuple[Move, ...]:
    """Return the moves of one sweep there and back, every turning bond visited once.

    A chain of L sites takes 2 L - 4 moves (one for L = 2, none for L = 1). Starting from the
    right, the centre begins on one of the last two sites and ends on the last but one.

    >>> [move.bond for move in round_trip(5)]
    [3, 2, 1, 0, 1, 2]
    """
    if length < 2:
        return ()
    if length == 2:
        return (Move(0, from_right),)
    there = tuple(Move(bond, False) for bond in range(length - 2, 0, -1))
    back = tuple(Move(bond, True) for bond in range(length - 2))
    if from_right:
        return there + back
    mirror = length - 2
    return tuple(Move(mirror - bond, not right) for bond, right in there + back)


def two_site(
    problem: Problem, truncation: Truncation, *, method: str = "svd", normalize: bool = True
) -> Step:
    """Return the step that merges two sites, solves, splits with `truncation` and moves on.

    method: of `split_matrix` ("gram" is the fast one for training). normalize: rescale the new
    centre to norm one, so that what truncation removed does not shrink the state.
    """

    def step(zipper: Zipper, move: Move) -> tuple[Zipper, StepInfo]:
        bond, rightwards = move
        left: _Frame | None = zipper.left
        right: _Frame | None = zipper.right
        if bond == zipper.position:
            a, (b, _, right) = zipper.centre, zipper.right
        elif bond == zipper.position - 1:
            (a, _, left), b = zipper.left, zipper.centre
        else:
            raise ArgumentError(
                f"bond {bond} is not beside the centre at site {zipper.position}; "
                "moves must follow one another (see round_trip)"
            )
        if left is None or right is None:
            raise SizeError(f"bond {bond} is outside a chain of {len(zipper)} sites")
        l, p, m = a.shape
        q, r = b.shape[1:]
        block = reshape(reshape(a, (l * p, m)) @ reshape(b, (m, q * r)), (l, p, q, r))
        block, loss = problem.solve(left.environment, block, right.environment, bond)
        split = split_matrix(
            reshape(block, (l * p, q * r)),
            truncation,
            method=method,
            absorb="right" if rightwards else "left",
        )
        kept = split.left.shape[1]
        new_a, new_b = reshape(split.left, (l, p, kept)), reshape(split.right, (kept, q, r))
        if rightwards:
            if normalize:
                new_b = _unit(new_b)
            left = _push(left, new_a, problem.grow_left, bond)
            new = Zipper(left, new_b, right, bond + 1, zipper.sites)
        else:
            if normalize:
                new_a = _unit(new_a)
            right = _push(right, new_b, problem.grow_right, bond + 1)
            new = Zipper(left, new_a, right, bond, zipper.sites)
        return new, StepInfo(bond, rightwards, loss, kept, split.discarded_weight)

    return step


def _unit(array: Array) -> Array:
    flat = reshape(array, (-1,))
    return array / namespace(array).linalg.vector_norm(flat)


def sweep(zipper: Zipper, step: Step, moves: Iterable[Move]) -> Iterator[tuple[Zipper, StepInfo]]:
    """Yield the zipper and its `StepInfo` after every move.

    The caller owns the loop: show progress, change the step, stop after any bond and go on later
    from the zipper in hand with the moves that remain.
    """
    for move in moves:
        start = time.perf_counter()
        zipper, info = step(zipper, move)
        yield zipper, _timed(info, time.perf_counter() - start)


def _timed(info: StepInfo, seconds: float) -> StepInfo:
    return StepInfo(
        info.bond, info.rightwards, info.loss, info.kept, info.discarded_weight, seconds
    )
