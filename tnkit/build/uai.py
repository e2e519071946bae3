"""Factor graphs in the UAI format, with evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tnkit.build.sources import Words, fail, read_text
from tnkit.checking import checked, shown
from tnkit.errors import ArgumentError, ArgumentTypeError
from tnkit.network import TensorNetwork
from tnkit.tensor import Tensor

__all__ = ["read_uai_evidence", "uai_network"]

_MOST = 1_000_000


@checked
def uai_network(
    source: str | Path,
    evidence: Mapping[int, int] | str | Path | None = None,
    *,
    output: Iterable[int] = (),
) -> TensorNetwork:
    """Return the network of a factor graph in the UAI format (MARKOV or BAYES).

    source: the text, or a `pathlib.Path`. evidence: {variable: value}, or the text or path of an
    evidence file; those variables are fixed. output: variables that stay, unnormalised marginals;
    by default all are summed, which gives the partition function, or the probability of the
    evidence. Variable k is the hyperedge "k"; factors are tagged "factor" and "factork". Use
    `contract_scaled`: values can leave the range of floats. Raises `FormatError` with the line.
    Source: UAI 2022 inference competition, model format.

    >>> from tnkit.contraction import contract
    >>> pair = "MARKOV 2 2 2 1 2 0 1 4 1.0 2.0 3.0 4.0"
    >>> contract(uai_network(pair, {0: 1}, output=[1])).to_numpy()
    array([3., 4.])
    """
    words = Words(iter(enumerate(read_text(source).splitlines(), start=1)))
    line = words.line
    kind = words.word("MARKOV or BAYES")
    if kind not in ("MARKOV", "BAYES"):
        fail(line, f"expected MARKOV or BAYES, got {kind[:40]!r}")
    count = words.whole("the number of variables")
    sizes = [words.whole(f"the size of variable {k}", 1, _MOST) for k in range(count)]
    scopes = []
    for factor in range(words.whole("the number of factors")):
        line = words.line
        width = words.whole(f"the width of factor {factor}")
        scope = [words.whole(f"a variable of factor {factor}", 0, count - 1) for _ in range(width)]
        if len(set(scope)) < len(scope):
            fail(line, f"factor {factor} names a variable twice: {scope}")
        scopes.append(scope)
    tensors = []
    for factor, scope in enumerate(scopes):
        line = words.line
        shape = [sizes[k] for k in scope]
        entries = words.whole(f"the number of entries of factor {factor}")
        if entries != math.prod(shape):
            fail(line, f"factor {factor} has {entries} entries, its variables need {shape}")
        table = [words.number(f"an entry of factor {factor}") for _ in range(entries)]
        names = [str(k) for k in scope]
        tensors.append(Tensor(np.array(table).reshape(shape), names, ["factor", f"factor{factor}"]))
    if not words.done:
        fail(words.line, f"more words than the model needs: {words.word('')[:40]!r}")
    met = {k for scope in scopes for k in scope}
    for k in set(range(count)) - met:  # a variable in no factor counts its values
        tensors.append(Tensor(np.ones(sizes[k]), [str(k)], ["variable"]))
    known = evidence if isinstance(evidence, Mapping) else {}
    if isinstance(evidence, str | Path):
        known = read_uai_evidence(evidence)
    kept = list(output)
    for number in (*known, *known.values(), *kept):
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise ArgumentTypeError(
                f"evidence and output must hold whole numbers, got {shown(number)}"
            )
    for k, value in known.items():
        if not 0 <= k < count:
            raise ArgumentError(f"evidence on variable {k}, but there are {count}")
        if not 0 <= value < sizes[k]:
            raise ArgumentError(f"evidence {value} on variable {k}, which has {sizes[k]} values")
    for k in kept:
        if k in known or not 0 <= k < count:
            raise ArgumentError(f"variable {k} cannot stay: it is unknown or has evidence")
    network = TensorNetwork(tensors, [str(k) for k in kept])
    return network.fix({str(k): int(value) for k, value in known.items()})


@checked
def read_uai_evidence(source: str | Path) -> dict[int, int]:
    """Return {variable: value} from a UAI evidence file: a count, then pairs.

    The older form, a number of samples (1) on a line of its own in front, is read too.

    >>> read_uai_evidence("2 0 1 3 0")
    {0: 1, 3: 0}
    """
    lines = [(n, t) for n, t in enumerate(read_text(source).splitlines(), start=1) if t.split()]
    if len(lines) > 1 and lines[0][1].split() == ["1"] and len(lines[1][1].split()) % 2:
        lines = lines[1:]
    if not lines:
        return {}
    words = Words(iter(lines))
    found: dict[int, int] = {}
    for _ in range(words.whole("the number of observed variables")):
        line = words.line
        variable = words.whole("a variable")
        if variable in found:
            fail(line, f"variable {variable} is observed twice")
        found[variable] = words.whole(f"the value of variable {variable}")
    if not words.done:
        fail(words.line, "more words than the count announced")
    return found
