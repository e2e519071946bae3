"""Pictures of everything that can be built: python examples/gallery.py [folder]."""

from __future__ import annotations

import sys
from pathlib import Path

import tnkit


def main(folder: Path) -> None:
    """Write one picture for each builder into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lattices = {
        "chain": (8,),
        "square": (4, 5),
        "triangular": (4, 4),
        "honeycomb": (3, 3),
        "kagome": (3, 3),
        "cubic": (3, 3, 3),
    }
    for kind, sides in lattices.items():
        graph = tnkit.lattice(kind, *sides)
        state = tnkit.peps_network(graph, bond_dim=2)
        places = tnkit.lattice_positions(graph)
        save(folder, f"peps-{kind}", state, positions=places, sizes=False)
    square = tnkit.lattice("square", 4, 5)
    save(
        folder,
        "ising-square",
        tnkit.ising_network(square, 0.4),
        positions=tnkit.lattice_positions(square),
        colours=["vertex", "edge"],
        legend=True,
    )
    save(folder, "dimers-random", tnkit.dimer_network(tnkit.random_regular_graph(3, 16, 0)))
    tree = tnkit.tree_graph(2, 3)
    places = tnkit.lattice_positions(tree)
    save(folder, "tree", tnkit.peps_network(tree, bond_dim=8), positions=places)
    ring = tnkit.lattice("chain", 8, periodic=True)
    save(folder, "ring", tnkit.peps_network(ring, bond_dim=4), names=False)
    mera = tnkit.mera_network(2, bond_dim=4)
    save(
        folder,
        "mera",
        mera,
        positions=tnkit.mera_positions(2),
        colours=["isometry", "disentangler", "top"],
        isometries=True,
        legend=True,
        names=False,
        sizes=False,
        legs=(0.0, -1.0),
    )
    psi = tnkit.canonicalize(tnkit.random_mps(7, bond_dim=8, seed=0), 3)
    line = {k: (float(k), 0.0) for k in range(7)}
    save(
        folder,
        "mps-canonical",
        psi.network(),
        positions=line,
        isometries=True,
        names=False,
        legs=(0.0, -0.8),
        size=(6.0, 1.8),
    )
    cnf = "p cnf 5 4\n1 -2 3 0\n2 4 0\n-3 -4 5 0\n-1 5 0\n"
    save(folder, "cnf", tnkit.cnf_network(cnf), colours=["variable", "clause"], legend=True)
    circuit = tnkit.Circuit.from_gates(
        4,
        [("h", k) for k in range(4)]
        + [
            ("cz", 0, 1),
            ("cz", 2, 3),
            ("ry", 0.3, 1),
            ("cx", 1, 2),
            ("h", 0),
            ("t", 3),
            ("swap", 0, 3),
            ("cz", 1, 2),
        ],
    )
    save(
        folder,
        "circuit",
        tnkit.state_network(circuit),
        positions=tnkit.circuit_positions(circuit),
        colours=["start", "h", "cz", "cx", "ry", "t", "swap"],
        legend=True,
        names=False,
        sizes=False,
        legs=(0.9, 0.0),
    )
    small = tnkit.ising_network(tnkit.lattice("square", 3, 3), 0.4)
    save(folder, "plan-tree", tnkit.plan(small), size=(8.0, 5.0))
    grid = tnkit.lattice("square", 4, 4)
    peps = tnkit.peps_network(grid, bond_dim=3, site_dim=0)
    places = tnkit.lattice_positions(grid)
    steps = tnkit.draw_steps(peps, tnkit.plan(peps), positions=places)
    steps.save(folder / "plan-steps.png")


def save(
    folder: Path, name: str, what: tnkit.TensorNetwork | tnkit.Plan, **options: object
) -> None:
    """Write the picture as PNG and SVG."""
    made = tnkit.picture(what, **options)
    for ending in ("png", "svg"):
        made.save(folder / f"{name}.{ending}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "gallery"))
