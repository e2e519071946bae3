"""Sums of products of named local operators, and the matrix product operator they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError, IndexNameError, SizeError
from tnkit.mps.compression import compress
from tnkit.mps.create_mpo import mpo_from_terms
from tnkit.mps.operator import MPO
from tnkit.mps.sites import find_site, site_names
from tnkit.truncation import Truncation

__all__ = ["OpSum", "site_operators"]

_ROUNDING = 16 * float(np.finfo(np.float64).eps)  # what QR and SVD leave of a value that is none
_FERMIONIC = ("C", "Cdag", "Cup", "Cdagup", "Cdn", "Cdagdn")


@checked
def site_operators(kind: str, levels: int = 2) -> dict[str, np.ndarray]:
    """Return the named operators of one site, as matrices (site, site).

    kind: "spin" with `levels` = 2S + 1 values, highest Sz first: I, Sx, Sy, Sz, Sp, Sm, and for
    spin 1/2 the Pauli matrices X, Y, Z. "fermion": I, C, Cdag, N and the parity P on (empty,
    full), C and Cdag anticommuting between sites. "electron": I, Cup, Cdagup, Cdn, Cdagdn, Nup,
    Ndn, Nupdn, N, P on (empty, down, up, both), up ordered before down. "boson" with `levels`
    occupations: I, B, Bdag, N.

    >>> site_operators("spin", 3)["Sz"].diagonal().tolist()
    [1.0, 0.0, -1.0]
    """
    if not 2 <= levels <= 10_000:
        raise ArgumentError(f"levels must be a whole number from 2 up, got {levels!r}")
    if kind == "spin":
        spin = (levels - 1) / 2
        m = spin - np.arange(levels)
        raising = np.diag(np.sqrt(spin * (spin + 1) - m[1:] * (m[1:] + 1)), 1)
        table = {
            "I": np.eye(levels),
            "Sz": np.diag(m),
            "Sp": raising,
            "Sm": raising.T,
            "Sx": (raising + raising.T) / 2,
            "Sy": (raising - raising.T) / 2j,
        }
        if levels == 2:
            table |= {"X": 2 * table["Sx"], "Y": 2 * table["Sy"], "Z": 2 * table["Sz"]}
        return table
    lower = np.diag(np.sqrt(np.arange(1.0, levels)), 1)
    number = np.diag(np.arange(float(levels)))
    if kind == "boson":
        return {"I": np.eye(levels), "B": lower, "Bdag": lower.T, "N": number}
    parity = np.diag([1.0, -1.0])
    if kind == "fermion" and levels == 2:
        return {"I": np.eye(2), "C": lower, "Cdag": lower.T, "N": number, "P": parity}
    if kind == "electron" and levels in (2, 4):
        up, down = np.kron(lower, np.eye(2)), np.kron(parity, lower)
        table = {"I": np.eye(4), "Cup": up, "Cdagup": up.T, "Cdn": down, "Cdagdn": down.T}
        n_up, n_down = up.T @ up, down.T @ down
        table |= {"Nup": n_up, "Ndn": n_down, "Nupdn": n_up @ n_down, "N": n_up + n_down}
        return table | {"P": np.kron(parity, parity)}
    raise ArgumentError(
        f"no operators for kind {kind!r} with {levels} levels; "
        "use spin, boson, fermion with 2 or electron"
    )


def _default_operators() -> dict[str, np.ndarray]:
    return site_operators("spin") | site_operators("fermion")


class OpSum:
    """A sum of products of named local operators; a builder, changed by `add`.

    operators: name -> matrix (site, site); by default those of spin 1/2 (I, X, Y, Z, Sx, Sy, Sz,
    Sp, Sm) and of spinless fermions (N, C, Cdag), on two-valued sites: see `site_operators` for
    others, and mix in your own. fermionic: the names that anticommute between sites; products of
    them carry Jordan-Wigner signs (Jordan and Wigner, Z. Phys. 47, 631, 1928), which on each site
    are the operator P: give it with operators of your own.

    >>> ising = OpSum()
    >>> for k in range(9):
    ...     ising.add(-1.0, ("Z", k), ("Z", k + 1))
    >>> for k in range(10):
    ...     ising.add(-0.5, ("X", k))
    >>> ising.to_mpo(10)
    MPO(10 sites, site_dim 2, bond_dim 3, float64)
    """

    @checked
    def __init__(
        self,
        operators: Mapping[str, Any] | None = None,
        *,
        fermionic: Sequence[str] = _FERMIONIC,
    ) -> None:
        """Start an empty sum over these operators."""
        table = _default_operators() if operators is None else dict(operators)
        self._operators = {name: np.asarray(matrix) for name, matrix in table.items()}
        unknown = [name for name in fermionic if not isinstance(name, str)]
        if unknown:
            raise ArgumentTypeError(f"fermionic must hold names, got {shown(unknown[0])}")
        self._fermionic = frozenset(fermionic)
        self._terms: list[tuple[complex, tuple[tuple[str, int | str], ...]]] = []
        shapes = {matrix.shape for matrix in self._operators.values()}
        if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or shape[0] != shape[1]:
            raise SizeError("operators must be square matrices of one size")
        self._levels = shape[0]
        self._parity = self._operators.get("P")

    @checked
    def add(self, coefficient: complex, *factors: tuple[str, int | str]) -> None:
        """Add coefficient * product of (name, site), multiplied left to right.

        Sites are positions or names; several factors may share one. A term without factors is a
        multiple of the identity. Raises `IndexNameError` for an unknown operator and
        `ArgumentError` for an odd number of fermionic ones.
        """
        number = complex(coefficient)
        if not (math.isfinite(number.real) and math.isfinite(number.imag)):
            raise ArgumentError(f"the coefficient must be finite, got {coefficient!r}")
        for factor in factors:
            if not (isinstance(factor, tuple) and len(factor) == 2):
                raise ArgumentTypeError(f"a factor must be (name, site), got {factor!r}")
            if factor[0] not in self._operators:
                known = ", ".join(self._operators)
                raise IndexNameError(f"no operator {factor[0]!r}; known are {known}")
        odd = [name for name, _ in factors if name in self._fermionic]
        if odd and self._parity is None:
            raise ArgumentError(
                f"{odd[0]} is fermionic, but there is no operator 'P' for the signs; "
                "add the parity of a site, or give fermionic=()"
            )
        if len(odd) % 2:
            raise ArgumentError(
                f"{' '.join(name for name, _ in factors)} has an odd number of fermionic operators"
            )
        self._terms.append((number, tuple(factors)))

    def __len__(self) -> int:
        """Return the number of terms."""
        return len(self._terms)

    def __repr__(self) -> str:
        """Describe the sum in one line."""
        return f"OpSum({len(self)} terms, site_dim {self._levels})"

    @checked
    def to_mpo(self, sites: int | Sequence[str]) -> MPO:
        """Return the sum as an MPO whose bonds are as small as rounding allows.

        sites: a number or names. The automaton of the terms is compressed without loss, so bonds
        are minimal whatever the range: 3 for the Ising chain, 5 for Heisenberg, 3 for one decaying
        exponential; what is below 16 eps of a bond's largest counts as rounding. Real where every
        term is. Raises `ArgumentError` for an empty sum or a site outside the chain.
        Cost O(sites bond^3), bond that of the automaton.
        """
        names = site_names(sites)
        terms = [
            (coefficient, self._product(factors, names)) for coefficient, factors in self._terms
        ]
        automaton = mpo_from_terms(terms, names, self._levels)
        return compress(automaton, Truncation(value_cutoff=_ROUNDING)).state

    def _product(
        self, factors: Sequence[tuple[str, int | str]], names: tuple[str, ...]
    ) -> dict[int | str, np.ndarray]:
        """Return the matrix of every site that a product touches, Jordan-Wigner signs included."""
        placed = [(name, find_site(names, site)) for name, site in factors]
        first = min((site for _, site in placed), default=0)
        product: dict[int | str, np.ndarray] = {}
        for name, site in placed:
            if name in self._fermionic:  # left of all factors the signs cancel in pairs
                for k in range(first, site):
                    product[k] = product.get(k, np.eye(self._levels)) @ self._parity
            product[site] = product.get(site, np.eye(self._levels)) @ self._operators[name]
        return product
