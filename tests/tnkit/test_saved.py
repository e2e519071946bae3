"""Every kind of value comes back as it was, and files of the first format are read for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import tnkit
from tnkit.testing import networks, tensors

FIRST = Path(__file__).parent / "format1"
REUSED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def grid(*shape: int) -> np.ndarray[Any, Any]:
    """Return an array that can be written down: 0, 1/8, 2/8, ..."""
    return np.arange(float(np.prod(shape))).reshape(shape) / 8


def values() -> dict[str, Any]:
    """What the files of the first format hold: `python tests/tnkit/test_saved.py` wrote them."""
    tensor = tnkit.Tensor(grid(2, 3), ["i", "k"], ["left"])
    other = tnkit.Tensor(1j * grid(3, 2), ["k", "j"])
    network = tnkit.TensorNetwork([tensor, other], output=["j", "i"])
    psi = tnkit.MPS.from_arrays([grid(1, 2, 2), grid(2, 3, 1)], sites=["a", "b"])
    psi = tnkit.MPS(psi.arrays, psi.sites, tnkit.Gauge(0, 0), 2.5)
    mpo = tnkit.MPO.from_arrays([grid(1, 2, 2, 3), grid(3, 2, 2, 1)])
    return {
        "tensor": tensor,
        "network": network,
        "plan": tnkit.plan(network, optimizer="greedy"),
        "mps": psi,
        "mpo": mpo,
    }


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, tnkit.Plan):
        assert found == expected
        return
    if isinstance(expected, tnkit.Tensor):
        assert (found.names, found.tags) == (expected.names, expected.tags)
        pairs = [(found.array, expected.array)]
    else:
        pairs = list(zip(found.arrays, expected.arrays, strict=True))
        fields = ("sites", "gauge", "log_scale", "output", "inputs")
        for field in [name for name in fields if hasattr(expected, name)]:
            assert getattr(found, field) == getattr(expected, field)
    if isinstance(expected, tnkit.TensorNetwork):
        assert [t.tags for t in found.tensors] == [t.tags for t in expected.tensors]
    for one, two in pairs:
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", values())
def test_a_file_of_the_first_format_is_read_for_ever(kind: str) -> None:
    assert_same(tnkit.load(FIRST / f"{kind}.npz"), values()[kind])


@pytest.mark.parametrize("kind", values())
def test_a_value_of_every_kind_comes_back(kind: str, tmp_path: Path) -> None:
    tnkit.save(tmp_path / "x.npz", values()[kind])
    assert_same(tnkit.load(tmp_path / "x.npz"), values()[kind])


@pytest.mark.parametrize("kind", ["mps", "mpo", "tensor", "network"])
def test_numpy_alone_reads_the_arrays(kind: str) -> None:
    with np.load(FIRST / f"{kind}.npz") as file:
        names = [name for name in file.files if name != "manifest.json"]
        expected = values()[kind]
        arrays = [expected.array] if kind == "tensor" else expected.arrays
        assert len(names) == len(arrays)
        for name, array in zip(names, arrays, strict=True):
            np.testing.assert_array_equal(file[name], array)


@REUSED
@given(tensor=tensors())
def test_tensors_come_back(tmp_path: Path, tensor: tnkit.Tensor) -> None:
    tnkit.save(tmp_path / "t.npz", tensor)
    assert_same(tnkit.load(tmp_path / "t.npz"), tensor)


@REUSED
@given(network=networks())
def test_networks_and_their_plans_come_back(tmp_path: Path, network: tnkit.TensorNetwork) -> None:
    tnkit.save(tmp_path / "n.npz", network)
    assert_same(tnkit.load(tmp_path / "n.npz"), network)
    plan = tnkit.plan(network)
    tnkit.save(tmp_path / "p.npz", plan)
    assert tnkit.load(tmp_path / "p.npz") == plan


def test_arrays_of_another_library_are_stored(tmp_path: Path, backend: Any) -> None:
    array = backend.asarray(grid(2, 3))
    tnkit.save(tmp_path / "t.npz", tnkit.Tensor(array, ["i", "j"]))
    np.testing.assert_array_equal(tnkit.load(tmp_path / "t.npz").array, grid(2, 3))


@pytest.mark.parametrize(
    ("kind", "metadata", "arrays"),
    [
        ("tensor", {"names": ["i"], "tags": []}, {"array": grid(2, 3)}),
        ("tensor", {"names": "ij", "tags": []}, {"array": grid(2, 3)}),
        ("tensor", {"names": ["i", "j"]}, {"array": grid(2, 3)}),
        ("network", {"tensors": [], "output": ["x"]}, {}),
        ("network", {"tensors": [{"names": ["i"], "tags": []}], "output": []}, {}),
        ("plan", {"format": "else"}, {}),
    ],
)
def test_what_is_no_value_of_its_kind_is_refused(
    tmp_path: Path, kind: str, metadata: Any, arrays: Any
) -> None:
    tnkit.write_archive(tmp_path / "x.npz", kind, metadata, arrays)
    with pytest.raises(tnkit.FormatError, match=r"x\.npz: not a " + kind):
        tnkit.load(tmp_path / "x.npz")


def test_a_kind_that_is_not_ours_is_named(tmp_path: Path) -> None:
    tnkit.write_archive(tmp_path / "x.npz", "soup", {}, {})
    with pytest.raises(tnkit.FormatError, match="holds a 'soup', expected a 'mps' or 'mpo' or"):
        tnkit.load(tmp_path / "x.npz")


def test_safetensors_holds_what_was_given(tmp_path: Path) -> None:
    """Transposed arrays included, which the format's own writer stores wrongly."""
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    tensor = tnkit.Tensor(grid(2, 3).T, ["i", "j"], ["left"])
    tnkit.save_safetensors(tmp_path / "t.safetensors", tensor)
    np.testing.assert_array_equal(
        numpy.load_file(tmp_path / "t.safetensors")["array"], grid(2, 3).T
    )
    with pytest.raises(tnkit.ArgumentTypeError, match="complex128"):
        tnkit.save_safetensors(tmp_path / "n.safetensors", values()["network"])
    assert not (tmp_path / "n.safetensors").exists()


if __name__ == "__main__":
    for name, value in values().items():
        if not (FIRST / f"{name}.npz").exists():  # never overwrite: they are the promise
            tnkit.save(FIRST / f"{name}.npz", value)
