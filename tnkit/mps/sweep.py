"""The one sweep driver: a centre walks the chain, a local problem is solved, the bond is split.

DMRG, variational fitting and Born-machine training differ in two things only: what a block of
the chain to the left or right of the centre contracts to, and how the tensor at the centre is
improved. A `Problem` (two sites at once) or a `SiteProblem` (one) says both; everything else is
here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from tnkit.arrays import Array, adjoint, device, eps, frobenius, namespace, reshape, to_numpy
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, NonFiniteError, SizeError
from tnkit.factorisation import qr, svd
from tnkit.mps.gauge import canonicalize
from tnkit.mps.sites import check_length
from tnkit.mps.state import MPS, Gauge
from tnkit.retraction import retract_matrix
from tnkit.splitting import METHODS, Absorb, MatrixSplit, split_matrix
from tnkit.truncation import Truncation

__all__ = [
    "Environments",
    "Expanding",
    "Move",
    "Problem",
    "SiteProblem",
    "Step",
    "StepInfo",
    "Zipper",
    "close_zipper",
    "one_site",
    "open_zipper",
    "round_trip",
    "sweep",
    "two_site",
]


class Environments(Protocol):
    """What a block of the chain contracts to: the algorithm's own; the driver stacks them."""

    def left_edge(self) -> Any:
        """Return the environment left of site 0."""

    def right_edge(self) -> Any:
        """Return the environment right of the last site."""

    def grow_left(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb the left-orthonormal `array` of `site` into the environment of sites < site."""

    def grow_right(self, environment: Any, array: Array, site: int) -> Any:
        """Absorb the right-orthonormal `array` of `site` into the environment of sites > site."""


class Problem(Environments, Protocol):
    """What an algorithm brings to a sweep of two sites at once."""

    def solve(self, left: Any, block: Array, right: Any, bond: int) -> tuple[Array, float]:
        """Return the improved block (left, site, site + 1, right) of `bond`, and the loss."""


class SiteProblem(Environments, Protocol):
    """What an algorithm brings to a sweep of one site at a time."""

    def solve_site(self, left: Any, array: Array, right: Any, site: int) -> tuple[Array, float]:
        """Return the improved array (left, site, right) of `site`, and the loss."""


class Expanding(SiteProblem, Protocol):
    """A `SiteProblem` that also says where a bond should grow, so that its size is no prison."""

    def directions(
        self, left: Any, first: Array, second: Array, right: Any, move: Move, count: int
    ) -> Array:
        """Return directions in which the bond between two sites would gain most.

        first, second: (left, site, middle), (middle, site, right), the centre on the one that the
        move leaves. left and right: the environments beyond the pair. Returns (any, site, right)
        to be added to `second` where the move goes rightwards, (left, site, any) to be added to
        `first` where not, about `count` of them or more; their lengths are their weights.
        """


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
    """Carry the centre over `bond` (sites bond, bond + 1) to its right or left site.

    A two-site step improves both sites, a one-site step the one it leaves.
    """

    bond: int
    rightwards: bool


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What one step did.

    loss: of the whole state before the step (an energy, a mean NLL in nats). discarded_weight:
    relative, sum of dropped squared singular values over all. seconds: wall time of the step. On a
    device loss and, with a static truncation, discarded_weight may be 0-d arrays there: float()
    waits for the device, so read them seldom.
    """

    bond: int
    rightwards: bool
    loss: Any
    kept: int
    discarded_weight: Any
    seconds: float = 0.0


Step = Callable[[Zipper, Move], tuple[Zipper, StepInfo]]
Splitter = Callable[..., MatrixSplit]
"""A function that takes what `split_block` takes."""


@checked
def split_block(
    matrix: Array, truncation: Truncation, *, method: str, absorb: Absorb, space: Array = None
) -> MatrixSplit:
    """Split the block of a sweep by a method of `split_matrix`, or "retraction" from `space`."""
    if method == "retraction":
        return retract_matrix(matrix, space, truncation, absorb=absorb)
    return split_matrix(matrix, truncation, method=method, absorb=absorb)


@checked
def open_zipper(psi: MPS, problem: Environments, centre: int = -1) -> Zipper:
    """Open `psi` at `centre` (canonicalising where needed) with all environments of `problem`.

    The norm carried by log_scale is left out: sweeps work on the arrays. Cost: one pass of
    `problem.grow_left` and `grow_right` over the chain.
    """
    _check_offers(problem, *_ENVIRONMENTS)
    psi = canonicalize(psi, centre)
    position = centre % len(psi)
    left = _Frame(None, problem.left_edge(), None)
    for k in range(position):
        left = _push(left, psi.arrays[k], problem.grow_left, k)
    right = _Frame(None, problem.right_edge(), None)
    for k in range(len(psi) - 1, position, -1):
        right = _push(right, psi.arrays[k], problem.grow_right, k)
    return Zipper(left, _in_order(psi.arrays[position]), right, position, psi.sites)


@checked
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
    array = _in_order(array)
    return _Frame(array, grow(frame.environment, array, site), frame)


def _in_order(array: Array) -> Array:
    """Return the array as a file gives it back: BLAS rounds a view with strides differently."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array


_ENVIRONMENTS = ("left_edge", "right_edge", "grow_left", "grow_right")


def _check_offers(problem: Any, *names: str) -> None:
    missing = [name for name in names if not callable(getattr(problem, name, None))]
    if missing or isinstance(problem, type):
        raise ArgumentTypeError(
            f"problem must offer {', '.join(missing or names)} (see tnkit.Problem and "
            f"tnkit.SiteProblem), got {shown(problem)}"
        )


@checked
def round_trip(length: int, *, from_right: bool = True, width: int = 2) -> tuple[Move, ...]:
    """Return the moves of one sweep there and back of steps that improve `width` sites.

    Two-site steps visit a turning bond once: a chain of L sites takes 2 L - 4 moves (one for
    L = 2), and starting from the right, the centre begins on one of the last two sites and ends on
    the last but one. One-site steps cross every bond twice, from one end to the other and back.
    A chain of one site takes no moves.

    >>> [move.bond for move in round_trip(5)]
    [3, 2, 1, 0, 1, 2]
    >>> [move.bond for move in round_trip(4, width=1)]
    [2, 1, 0, 0, 1, 2]
    """
    check_length(length)
    if width not in (1, 2):
        raise ArgumentError(f"steps improve 1 or 2 sites, got width {width!r}")
    if length < 2:
        return ()
    if length == 2 and width == 2:
        return (Move(0, from_right),)
    there = tuple(Move(bond, False) for bond in range(length - 2, width - 2, -1))
    back = tuple(Move(bond, True) for bond in range(length - width))
    if from_right:
        return there + back
    mirror = length - 2
    return tuple(Move(mirror - bond, not right) for bond, right in there + back)


@checked
def two_site(
    problem: Problem,
    truncation: Truncation,
    *,
    method: str = "auto",
    normalize: bool = True,
    split: Splitter = split_block,
) -> Step:
    """Return the step that merges two sites, solves, splits with `truncation` and moves on.

    method: of `split_matrix`; "auto" takes the faster of those that are exact for what is kept.
    Or "retraction", faster still where a bond is full and the solver changes the block little: see
    `retract_matrix`; the space is that of the site ahead. normalize: rescale the new centre to norm
    one, so that what truncation removed does not shrink the state. split: takes the place of
    `split_block`, such as a function that hands one process's result to all.
    """
    _check_offers(problem, "solve", "grow_left", "grow_right")
    if method != "retraction":
        _check_method(method, "retraction")

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
        first, second = reshape(a, (l * p, m)), reshape(b, (m, q * r))
        block = reshape(first @ second, (l, p, q, r))
        block, loss = problem.solve(left.environment, block, right.environment, bond)
        matrix = reshape(block, (l * p, q * r))
        side: Absorb = "right" if rightwards else "left"
        ahead = second if rightwards else first
        pair = split(matrix, truncation, method=method, absorb=side, space=ahead)
        kept = pair.left.shape[1]
        new_a, new_b = reshape(pair.left, (l, p, kept)), reshape(pair.right, (kept, q, r))
        if rightwards:
            left, centre = _push(left, new_a, problem.grow_left, bond), new_b
        else:
            right, centre = _push(right, new_b, problem.grow_right, bond + 1), new_a
        centre = _in_order(_unit(centre) if normalize else centre)
        new = Zipper(left, centre, right, bond + rightwards, zipper.sites)
        return new, StepInfo(bond, rightwards, loss, kept, pair.discarded_weight)

    return step


def _check_method(method: str, *more: str) -> None:
    if method not in METHODS:
        offered = ", ".join((*METHODS, *more))
        raise ArgumentError(f"method={method!r} is not offered; use {offered}")


@checked
def one_site(
    problem: SiteProblem,
    truncation: Truncation,
    *,
    expand: int = 0,
    method: str = "auto",
    normalize: bool = True,
    split: Splitter = split_block,
) -> Step:
    """Return the step that solves the centre alone, splits it with `truncation` and moves on.

    expand: add up to this many directions to the bond ahead before solving, those in which
    `problem.directions` has most weight outside the bond's space; their amplitudes start at zero,
    so the state does not change, the loss cannot rise by them, and after the split the bond is
    within `truncation` again. With 0 bonds never grow. A step then costs site times less than
    `two_site`. Raises `ArgumentTypeError` where the problem offers no directions.
    Source: Hubig, McCulloch, Schollwoeck and Wolf, Phys. Rev. B 91, 155115 (2015), for the
    expansion; Gleis, Li and von Delft, Phys. Rev. Lett. 130, 246402 (2023), for cutting back at
    once.
    """
    _check_offers(problem, "solve_site", "grow_left", "grow_right")
    _check_method(method)
    if expand < 0:
        raise ArgumentError(f"expand must be a whole number from 0 up, got {expand!r}")
    if expand and not hasattr(problem, "directions"):
        raise ArgumentTypeError(
            f"{type(problem).__name__} offers no directions to expand a bond by; "
            "give it that method (see Expanding), or use expand=0"
        )
    grow: Any = problem

    def step(zipper: Zipper, move: Move) -> tuple[Zipper, StepInfo]:
        bond, rightwards = move
        if zipper.position != (bond if rightwards else bond + 1):
            raise ArgumentError(
                f"a one-site step {'right' if rightwards else 'left'} over bond {bond} does not "
                f"start at the centre, site {zipper.position} (see round_trip, width=1)"
            )
        left, array, right = zipper.left, zipper.centre, zipper.right
        if (right if rightwards else left).beyond is None:
            raise SizeError(f"bond {bond} is outside a chain of {len(zipper)} sites")
        near, (other, _, far) = (left, right) if rightwards else (right, left)
        assert far is not None
        if expand and rightwards:
            found = grow.directions(near.environment, array, other, far.environment, move, expand)
            other, array = _padded(other, array, found, expand)
            right = _push(far, other, problem.grow_right, bond + 1)
        elif expand:
            found = grow.directions(far.environment, other, array, near.environment, move, expand)
            other, array, found = (_mirrored(a) for a in (other, array, found))
            other, array = (_mirrored(a) for a in _padded(other, array, found, expand))
            left = _push(far, other, problem.grow_left, bond)
        array, loss = problem.solve_site(
            left.environment, array, right.environment, zipper.position
        )
        l, p, r = array.shape
        pair = split(
            reshape(array, (l * p, r) if rightwards else (l, p * r)),
            truncation,
            method=method,
            absorb="right" if rightwards else "left",
        )
        kept = pair.left.shape[1]
        if rightwards:
            left = _push(near, reshape(pair.left, (l, p, kept)), problem.grow_left, bond)
            q, s = other.shape[1:]
            centre = reshape(pair.right @ reshape(other, (r, q * s)), (kept, q, s))
            right = far
        else:
            right = _push(near, reshape(pair.right, (kept, p, r)), problem.grow_right, bond + 1)
            k, q = other.shape[:2]
            centre = reshape(reshape(other, (k * q, l)) @ pair.left, (k, q, kept))
            left = far
        centre = _in_order(_unit(centre) if normalize else centre)
        new = Zipper(left, centre, right, bond + rightwards, zipper.sites)
        return new, StepInfo(bond, rightwards, loss, kept, pair.discarded_weight)

    return step


def _padded(other: Array, array: Array, found: Array, count: int) -> tuple[Array, Array]:
    """Add orthonormal rows to the right-orthonormal `other`, and as many zeros to `array`."""
    m, q, s = other.shape
    rows = _new_rows(reshape(other, (m, q * s)), reshape(found, (-1, q * s)), count)
    more = rows.shape[0]
    if not more:
        return other, array
    xp = namespace(array)
    zeros = xp.zeros((*array.shape[:2], more), dtype=array.dtype, device=device(array))
    return xp.concat((other, reshape(rows, (more, q, s)))), xp.concat((array, zeros), axis=2)


def _mirrored(array: Array) -> Array:
    return namespace(array).permute_dims(array, (2, 1, 0))


def _new_rows(known: Array, found: Array, count: int) -> Array:
    """Return up to `count` orthonormal rows, of most weight in `found` outside the rows known."""
    count = min(count, known.shape[1] - known.shape[0])
    back = adjoint(known)
    rest = found - (found @ back) @ known
    if count < 1:
        return rest[:0, :]
    values, rows = svd(rest)[1:]
    sizes = to_numpy(values)
    # what is left of rows within the known space is rounding, not a direction
    noise = 1e3 * eps(found) * float(frobenius(found))
    rows = rows[: min(count, int((sizes > noise).sum())), :]
    return adjoint(qr(adjoint(rows - (rows @ back) @ known))[0])


def _unit(array: Array) -> Array:
    return array / frobenius(array)


@checked
def sweep(zipper: Zipper, step: Step, moves: Iterable[Move]) -> Iterator[tuple[Zipper, StepInfo]]:
    """Yield the zipper and its `StepInfo` after every move.

    The caller owns the loop: show progress, change the step, stop after any bond and go on later
    from the zipper in hand with the moves that remain. A `NonFiniteError` names bond and sites.
    """
    for move in moves:
        if not isinstance(move, Move):
            raise ArgumentTypeError(f"moves must hold Move values, got {shown(move)}")
        start = time.perf_counter()
        try:
            zipper, info = step(zipper, move)
        except NonFiniteError as error:
            sites = ", ".join(map(repr, zipper.sites[move.bond : move.bond + 2]))
            raise NonFiniteError(f"bond {move.bond} (sites {sites}): {error}") from error
        yield zipper, _timed(info, time.perf_counter() - start)


def _timed(info: StepInfo, seconds: float) -> StepInfo:
    return StepInfo(
        info.bond, info.rightwards, info.loss, info.kept, info.discarded_weight, seconds
    )
