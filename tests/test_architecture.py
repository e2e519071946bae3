"""The floors of the house: a module imports only from lower floors, never sideways or upward.

This table is the architecture; the documentation shows the same one.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CORE = {
    "tnkit.errors": 0,
    "tnkit.derivatives": 0,
    "tnkit.arrays": 1,
    "tnkit.sealed": 1,
    "tnkit.transfers": 1,
    "tnkit.checking": 1,
    "tnkit.verbs": 0,
    "tnkit.deprecation": 2,
    "tnkit.blas": 2,
    "tnkit.factorisation": 2,
    "tnkit.truncation": 2,
    "tnkit.scaled": 2,
    "tnkit.index": 2,
    "tnkit.pairwise": 2,
    "tnkit.notation": 3,
    "tnkit.tensor": 3,
    "tnkit.program": 3,
    "tnkit.resident": 3,
    "tnkit.splitting": 4,
    "tnkit.retraction": 5,
    "tnkit.network": 4,
    "tnkit.annealing": 4,
    "tnkit.search": 5,
    "tnkit.slicing": 4,
    "tnkit.planning": 6,
    "tnkit.contraction": 7,
    "tnkit.bonds": 8,
    "tnkit.simplify": 9,
    "tnkit.drawing": 8,
    "tnkit.interop": 8,
    "tnkit.drawing_plans": 9,
    "tnkit.mps.sites": 6,
    "tnkit.mps.state": 7,
    "tnkit.mps.operator": 7,
    "tnkit.mps.report": 8,
    "tnkit.mps.gauge": 8,
    "tnkit.mps.environments": 8,
    "tnkit.mps.sweep": 9,
    "tnkit.mps.run": 10,
    "tnkit.mps.window": 10,
    "tnkit.mps.progress": 11,
    "tnkit.mps.overlap": 9,
    "tnkit.mps.create": 9,
    "tnkit.mps.vidal": 9,
    "tnkit.mps.sampling": 10,
    "tnkit.mps.arithmetic": 10,
    "tnkit.mps.product": 10,
    "tnkit.mps.create_mpo": 11,
    "tnkit.mps.entanglement": 10,
    "tnkit.mps.measure": 10,
    "tnkit.mps.conditional": 14,
    "tnkit.mps.fit": 11,
    "tnkit.mps.compression": 12,
    "tnkit.mps.opsum": 13,
    "tnkit.mps.apply": 13,
    "tnkit.mps.chain": 13,
    "tnkit.mps.exchange": 10,
    "tnkit.algorithms.dmrg": 14,
    "tnkit.algorithms.approximation": 13,
    "tnkit.algorithms.boundary": 14,
    "tnkit.algorithms.compressed": 14,
    "tnkit.algorithms.belief": 14,
    "tnkit.build.lattices": 8,
    "tnkit.algorithms.davidson": 12,
    "tnkit.build.ring": 8,
    "tnkit.build.models": 8,
    "tnkit.build.sources": 8,
    "tnkit.build.counting": 9,
    "tnkit.build.shapes": 9,
    "tnkit.build.uai": 9,
    "tnkit.build.cnf": 10,
    "tnkit.build.gates": 8,
    "tnkit.build.circuit": 9,
    "tnkit.build.qasm": 10,
    "tnkit.build.qsim": 10,
    "tnkit.build.circuit_networks": 10,
    "tnkit.build.circuit_sampling": 11,
    "tnkit.io": 13,
    "tnkit.itensor": 15,
    "tnkit.files": 14,
    "tnkit.safetensors": 15,
    "tnkit.plugins": 15,
    "tnkit": 16,
    "tnkit.testing": 17,
    "tnkit.__main__": 17,
}

PLUGIN = {
    "born_machine.synthetic": -1,
    "born_machine.board": -1,
    "born_machine.data": 0,
    "born_machine.curves": -1,
    "born_machine.settings": 0,
    "born_machine.annealing": 0,
    "born_machine.recipes": 0,
    "born_machine.devices": 0,
    "born_machine.config": 0,
    "born_machine.ranks": 0,
    "born_machine.inputs": 1,
    "born_machine.launch": 2,
    "born_machine.pairs": 1,
    "born_machine.ordering": 2,
    "born_machine.amplitude": 1,
    "born_machine.logpsi": 1,
    "born_machine.baselines": 3,
    "born_machine.tree_start": 4,
    "born_machine.start": 5,
    "born_machine.likelihood": 2,
    "born_machine.gradient": 2,
    "born_machine.update": 2,
    "born_machine.completion": 2,
    "born_machine.footprint": 2,
    "born_machine.observables": 3,
    "born_machine.problem": 3,
    "born_machine.missing": 4,
    "born_machine.models.mps": 4,
    "born_machine.models.protocol": 4,
    "born_machine.correlators": 3,
    "born_machine.models.correlated": 5,
    "born_machine.models.mixture": 5,
    "born_machine.sweeper": 5,
    "born_machine.module": 5,
    "born_machine.checkpoint": 5,
    "born_machine.models.storage": 6,
    "born_machine.allsites": 6,
    "born_machine.train": 7,
    "born_machine.answers": 7,
    "born_machine.augment": 8,
    "born_machine.mixing": 9,
    "born_machine.fitting": 10,
    "born_machine.trials": 11,
    "born_machine.mending": 11,
    "born_machine.estimator": 12,
    "born_machine.plots": 12,
    "born_machine.report": 13,
    "born_machine.run": 14,
    "born_machine.progress": 14,
    "born_machine": 15,
    "born_machine.options": 16,
    "born_machine.cli": 17,
}


def modules(package: Path) -> dict[str, Path]:
    """Return every module of a package by dotted name; folders export nothing but the top."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package.parent).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """Return the modules of `known` that the file imports anywhere, late imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name:
                found.add(name)
    return found


HOUSES = [
    (ROOT / "tnkit", CORE),
    (ROOT / "plugins" / "born_machine" / "born_machine", PLUGIN),
]


@pytest.mark.parametrize(("package", "floors"), HOUSES, ids=["tnkit", "born_machine"])
def test_every_module_stands_on_a_floor(package: Path, floors: dict[str, int]) -> None:
    bare = {name for name, path in modules(package).items() if path.name == "__init__.py"}
    for name in bare - {package.name}:
        text = modules(package)[name].read_text(encoding="utf-8")
        assert not ast.parse(text).body[1:], f"{name}: a folder exports nothing"
    assert set(modules(package)) - bare <= set(floors)


@pytest.mark.parametrize(("package", "floors"), HOUSES, ids=["tnkit", "born_machine"])
def test_imports_point_downwards(package: Path, floors: dict[str, int]) -> None:
    wrong = [
        f"{name} (F{floors[name]}) imports {other} (F{floors[other]})"
        for name, path in modules(package).items()
        if name in floors
        for other in imports(path, set(floors)) - {name}
        if floors[other] >= floors[name]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_knows_no_plugin() -> None:
    for name, path in modules(ROOT / "tnkit").items():
        assert not imports(path, set(PLUGIN)), name


def test_the_plugin_uses_public_names_only() -> None:
    import tnkit

    for name, path in modules(HOUSES[1][0]).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tnkit"):
                assert node.module == "tnkit", f"{name}: import from tnkit, not {node.module}"
                assert {a.name for a in node.names} <= set(tnkit.__all__), name
            elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tnkit":
                assert node.attr in tnkit.__all__, f"{name}: tnkit.{node.attr} is not public"
