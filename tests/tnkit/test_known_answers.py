"""Values and costs that no one on this project wrote: shared/reference."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tnkit
from tnkit import Equation, Tensor, TensorNetwork, contract, contract_scaled, einsum, plan

networkx = pytest.importorskip("networkx")


@pytest.fixture(scope="module")
def analytic(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "reference" / "analytic.json").read_text())
    return found


def pairs(graph: Any, matrix: Any, weights: Any) -> TensorNetwork:
    """Return the partition function of a pair model: a hyperedge a vertex, a matrix an edge."""
    name = {node: f"v{number}" for number, node in enumerate(graph.nodes)}
    tensors = [Tensor(matrix, [name[a], name[b]]) for a, b in graph.edges]
    tensors += [Tensor(weights, [name[node]]) for node in graph.nodes]
    return TensorNetwork(tensors, [])


def ising(graph: Any, beta: float) -> TensorNetwork:
    spins = np.array([1.0, -1.0])
    return pairs(graph, np.exp(beta * np.outer(spins, spins)), np.ones(2))


def grid(rows: int, columns: int, *, periodic: bool = False) -> Any:
    return networkx.grid_2d_graph(rows, columns, periodic=periodic)


@pytest.mark.parametrize(("side", "beta"), [(2, 0.3), (3, 0.3), (4, 0.4), (5, 0.3)])
def test_open_ising(analytic: dict[str, Any], side: int, beta: float) -> None:
    expected = analytic[f"ising2d_open_{side}x{side}_beta{beta}_lnZ"]
    found = contract_scaled(ising(grid(side, side), beta))
    assert float(found.log_abs) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("side", "beta"), [(3, 0.3), (4, 0.4)])
def test_periodic_ising(analytic: dict[str, Any], side: int, beta: float) -> None:
    expected = analytic[f"ising2d_periodic_{side}x{side}_beta{beta}_Z"]
    found = contract(ising(grid(side, side, periodic=True), beta)).item()
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("size", ["2x2", "4x4", "6x6", "4x5", "2x10"])
def test_dimers(analytic: dict[str, Any], size: str) -> None:
    """An edge is covered or not; at each vertex exactly one edge is."""
    graph = grid(*map(int, size.split("x")))

    def one_of(node: Any, shape: tuple[int, ...]) -> Any:
        array = np.zeros(shape, np.int64)
        for axis in range(len(shape)):
            array[tuple(int(at == axis) for at in range(len(shape)))] = 1
        return array

    assert contract(tnkit.from_networkx(graph, one_of)).item() == analytic[f"dimer_open_{size}"]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6])
def test_independent_sets(analytic: dict[str, Any], side: int) -> None:
    network = pairs(grid(side, side), np.array([[1, 1], [1, 0]]), np.ones(2, np.int64))
    assert contract(network).item() == analytic[f"independent_sets_grid_{side}x{side}"]


@pytest.mark.parametrize("side", [2, 3, 4])
def test_three_colourings(analytic: dict[str, Any], side: int) -> None:
    unequal = 1 - np.eye(3, dtype=np.int64)
    network = pairs(grid(side, side), unequal, np.ones(3, np.int64))
    assert contract(network).item() == analytic[f"3colorings_grid_{side}x{side}"]


@pytest.mark.parametrize(("q", "n"), [(3, 5), (4, 6), (2, 7)])
def test_colourings_of_a_cycle(q: int, n: int) -> None:
    network = pairs(networkx.cycle_graph(n), 1 - np.eye(q, dtype=int), np.ones(q, np.int64))
    assert contract(network).item() == (q - 1) ** n + (-1) ** n * (q - 1)


def test_seventy_expressions(shared: Path, backend: Any) -> None:
    path = shared / "reference" / "networks" / "opt_einsum_expressions.json"
    expressions = json.loads(path.read_text())["expressions"]
    rng = np.random.default_rng(0)
    sizes = dict(zip("abcdefghij", [2, 3, 4, 5, 2, 6, 3, 2, 4, 3], strict=True))
    assert len(expressions) == 70
    for spec in expressions:
        terms = spec.partition("->")[0].split(",")
        arrays = [rng.integers(-2, 3, [sizes[x] for x in term]).astype(float) for term in terms]
        expected = np.einsum(spec, *arrays, optimize="greedy")
        found = einsum(spec, *map(backend.asarray, arrays))
        names = [str(axis) for axis in range(np.ndim(expected))]
        assert np.allclose(Tensor(found, names).to_numpy(), expected, rtol=1e-12, atol=0), spec


INSTANCES = [
    "gm_queen5_5_3.wcsp",
    "lm_batch_likelihood_brackets_4_4d",
    "bin_outer_product_4096",
    "str_matrix_chain_multiplication_100",
    "str_mps_varying_inner_product_200",
    "str_nw_mera_closed_120",
    "tensornetwork_permutation_light_415",
]


def reference_cost(made: tnkit.Plan) -> tuple[float, float]:
    """Count as the reference does: two for a step that sums, one for one that does not."""
    flops = sum(s.multiplications * (2 if s.k > 1 else 1) for s in made.steps)
    shapes = made.sizes
    largest = max(math.prod(shapes[x] for x in s.names) for s in made.steps)
    return math.log10(flops), math.log2(largest)


@pytest.mark.parametrize("name", INSTANCES)
@pytest.mark.parametrize("which", ["opt_size", "opt_flops"])
def test_reference_paths_cost_what_they_say(shared: Path, name: str, which: str) -> None:
    found = json.loads((shared / "reference" / "networks" / f"{name}.json").read_text())
    reference = found["paths"][which]
    made = plan(found["format_string"], shapes=found["shapes"], optimizer=reference["path"])
    flops, size = reference_cost(made)
    assert flops == pytest.approx(reference["log10_flops"], abs=6e-3)
    assert size == pytest.approx(reference["log2_size"], abs=6e-3)


# Seconds of search, and how far above the best known log10 flops its result may end. Measured at
# those seconds: lm +-0.006, chain -0.017, mps 0.000, mera -0.0004. The dense hypergraph gm_queen5
# starts 1.5 above it and ends 0.05 to 0.21 below; half a decade is left there to a slower machine.
BENCHMARK = {
    "gm_queen5_5_3.wcsp": (8.0, 0.5),
    "lm_batch_likelihood_brackets_4_4d": (1.0, 0.01),
    "str_matrix_chain_multiplication_100": (1.0, 0.01),
    "str_mps_varying_inner_product_200": (1.0, 0.01),
    "str_nw_mera_closed_120": (1.0, 0.01),
}


@pytest.fixture(scope="module")
def metadata(shared: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the einsum benchmark (168 instances) whose networks are here, by name."""
    folder = shared / "reference" / "networks"
    with (folder / "einsum_benchmark_metadata.csv").open() as lines:
        rows = {row["filename"]: row for row in csv.DictReader(lines)}
    assert len(rows) == 168
    return {name: row for name, row in rows.items() if (folder / f"{name}.json").exists()}


def test_every_benchmark_network_is_compared(metadata: dict[str, dict[str, str]]) -> None:
    assert sorted(metadata) == sorted(BENCHMARK)


@pytest.mark.parametrize("name", BENCHMARK)
@pytest.mark.parametrize("which", ["opt_size", "opt_flops"])
def test_our_account_is_the_benchmark_s(
    shared: Path, metadata: dict[str, dict[str, str]], name: str, which: str
) -> None:
    """To every digit given: log10 flops (see `reference_cost`), log2 of the largest result."""
    row = metadata[name]
    found = json.loads((shared / "reference" / "networks" / f"{name}.json").read_text())
    path = found["paths"][which]["path"]
    made = plan(found["format_string"], shapes=found["shapes"], optimizer=path)
    flops, size = reference_cost(made)
    assert flops == pytest.approx(float(row[f"{which}_path_flops_log10"]), abs=1e-12)
    assert size == pytest.approx(float(row[f"{which}_path_size_log2"]), abs=1e-12)
    output = math.prod(made.sizes[name] for name in made.output)
    assert math.log2(output) == pytest.approx(float(row["log2_output_size"]), abs=1e-12)
    assert (len(made.inputs), len(made.sizes)) == (
        int(row["tensors"]),
        int(row["different_indices"]),
    )


@pytest.mark.parametrize("name", BENCHMARK)
def test_a_time_budget_finds_the_best_known(
    shared: Path, metadata: dict[str, dict[str, str]], name: str
) -> None:
    seconds, above = BENCHMARK[name]
    found = json.loads((shared / "reference" / "networks" / f"{name}.json").read_text())
    made = plan(found["format_string"], shapes=found["shapes"], time_budget=seconds)
    best = float(metadata[name]["opt_flops_path_flops_log10"])
    assert reference_cost(made)[0] <= best + above


# dense hypergraphs (gm_queen5) need minutes of search; they are left to the benchmarks
@pytest.mark.parametrize("name", INSTANCES[1:])
def test_our_paths_are_as_good(shared: Path, name: str) -> None:
    found = json.loads((shared / "reference" / "networks" / f"{name}.json").read_text())
    made = plan(found["format_string"], shapes=found["shapes"], optimizer="anneal")
    best = found["paths"]["opt_flops"]["log10_flops"]
    assert reference_cost(made)[0] <= best + 0.05


# log10 of the multiplications cotengra's search reaches here in five seconds
HARD = {
    "mps_mpo_L100_chi64_D5": 7.97,
    "rand_50_5_a": 17.15,
    "randreg_200_3_a": 13.22,
    "qucirc_rrzz_n56_d13": 33.29,
}


@pytest.mark.parametrize("name", HARD)
def test_hard_networks(shared: Path, name: str) -> None:
    found = json.loads((shared / "reference" / "networks" / f"{name}.json").read_text())
    equation = Equation(tuple(map(tuple, found["inputs"])), tuple(found["output"]))
    shapes = [[found["size_dict"][x] for x in term] for term in found["inputs"]]
    greedy = plan(equation, shapes=shapes, optimizer="greedy").cost
    made = plan(equation, shapes=shapes, time_budget=2.0)
    assert made.cost.multiplications <= greedy.multiplications
    assert math.log10(made.cost.multiplications) <= HARD[name] + 0.01
