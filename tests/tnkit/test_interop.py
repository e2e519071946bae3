"""quimb in and out: names, tags, values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import tnkit
from tnkit import testing


class Stand:
    """What `from_quimb` reads, where quimb itself is not installed."""

    def __init__(self, **about: Any) -> None:
        self.__dict__.update(about)


def test_an_exponent_and_tags_are_kept() -> None:
    tensor = Stand(data=np.ones((2, 3)), inds=("a", "b"), tags={"I0"})
    network = Stand(tensors=(tensor,), exponent=1000.0, outer_inds=lambda: ("b",))
    found = tnkit.from_quimb(network)
    assert found.output == ("b",)
    assert found.tensors[0].tags == {"I0"}
    value = tnkit.contract_scaled(found)
    assert value.log_abs == pytest.approx([1000 * np.log(10) + np.log(2)] * 3)
    with pytest.raises(tnkit.ArgumentTypeError, match="expected a quimb TensorNetwork, got a list"):
        tnkit.from_quimb([1, 2])
    with pytest.raises(tnkit.ArgumentTypeError, match="expected a TensorNetwork, got a Tensor"):
        tnkit.to_quimb(found.tensors[0])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def quimb() -> Any:
    return pytest.importorskip("quimb.tensor", reason="quimb not installed")


@given(network=testing.networks(dtypes=["float64", "complex128"]))
def test_there_and_back(quimb: Any, network: tnkit.TensorNetwork) -> None:
    there = tnkit.to_quimb(network)
    theirs = there.contract(output_inds=network.output)
    data = getattr(theirs, "data", theirs)
    ours = tnkit.contract(network).to_numpy()
    scale = float(np.abs(ours).max(initial=1.0))
    assert np.allclose(data, ours, atol=1e-10 * scale)
    back = tnkit.from_quimb(there).with_output(*network.output)
    assert back.inputs == tuple(tuple(dict.fromkeys(names)) for names in network.inputs)
    assert [t.tags for t in back.tensors] == [t.tags for t in network.tensors]
    assert np.allclose(tnkit.contract(back).to_numpy(), ours, atol=1e-10 * scale)


def test_what_quimb_builds(quimb: Any) -> None:
    psi = quimb.MPS_rand_state(6, 4, seed=1)
    found = tnkit.from_quimb(psi)
    assert found.output == tuple(f"k{k}" for k in range(6))
    assert found.find("I3") == (3,)
    assert np.allclose(tnkit.contract(found).to_numpy().ravel(), psi.to_dense().ravel())
    peps = tnkit.from_quimb(quimb.PEPS.rand(2, 3, 2, seed=1))
    assert len(peps) == 6
    grid = quimb.TN2D_classical_ising_partition_function(4, 4, beta=0.4)
    ours = tnkit.ising_network(tnkit.lattice("square", 4, 4), 0.4)
    log = float(tnkit.contract_scaled(ours).log_abs)
    assert float(tnkit.contract_scaled(tnkit.from_quimb(grid)).log_abs) == pytest.approx(log)
    assert np.log(tnkit.to_quimb(ours).contract(output_inds=())) == pytest.approx(log)
    hyper = quimb.HTN_classical_partition_function_from_edges([(0, 1), (1, 2), (1, 3)], beta=0.3)
    assert tnkit.contract(tnkit.from_quimb(hyper).with_output()).item() == pytest.approx(
        hyper.contract(output_inds=())
    )
