"""Verbs are found where people look for them, and what is to go goes in time."""

from __future__ import annotations

import collections.abc
import copy
import importlib
import inspect
import pickle
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tnkit
from tnkit.deprecation import version_numbers
from tnkit.verbs import verbs_of

PAGE = (Path(__file__).parents[2] / "docs" / "verbs.md").read_text(encoding="utf-8")
VALUES = {
    tnkit.Tensor: tnkit.Tensor(np.ones((2, 2)), ["a", "b"]),
    tnkit.TensorNetwork: tnkit.TensorNetwork([]),
    tnkit.MPS: tnkit.random_mps(3, bond_dim=2, seed=0),
    tnkit.MPO: tnkit.identity_mpo(3),
}


def members(hint: Any) -> Iterator[Any]:
    """Yield the classes an annotation names, those in lists and unions too."""
    several = (typing.Union, types.UnionType, collections.abc.Sequence, collections.abc.Iterable)
    if typing.get_origin(hint) in several:
        for inside in typing.get_args(hint):
            yield from members(inside)
    elif isinstance(hint, typing.TypeVar):
        yield from hint.__constraints__
    else:
        yield hint


def takes_first(kind: type) -> list[str]:
    """Return the public functions whose first argument is a value of this class."""
    found = []
    for name in tnkit.__all__:
        value = getattr(tnkit, name)
        parameters = inspect.signature(value).parameters if inspect.isfunction(value) else ()
        hints = [typing.get_type_hints(value)[first] for first in list(parameters)[:1]]
        if any(kind in members(hint) for hint in hints):
            found.append(name)
    return found


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_the_help_of_a_value_lists_the_functions_that_take_it(kind: type) -> None:
    assert list(verbs_of(kind)) == takes_first(kind)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_verb_asked_for_as_a_method_says_where_it_is(kind: type) -> None:
    value = VALUES[kind]
    for verb in verbs_of(kind):
        assert verb not in dir(value)  # one implementation
        with pytest.raises(AttributeError, match=rf"no method '{verb}'.*: tnkit\.{verb}\(\.\.\.\)"):
            getattr(value, verb)
    with pytest.raises(AttributeError, match=f"'{kind.__name__}' object has no attribute 'melt'"):
        getattr(value, "melt")  # noqa: B009
    assert not hasattr(value, "__array_interface__")
    assert repr(pickle.loads(pickle.dumps(copy.deepcopy(value)))) == repr(value)


def test_completion_shows_public_names_only() -> None:
    assert dir(tnkit) == sorted(tnkit.__all__)


def rows(section: str) -> list[tuple[list[str], list[str]]]:
    """Return the names in code of both columns of a table of the page."""
    table = PAGE.split(f"## From {section}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([\w.]+)`", a), re.findall(r"`tnkit\.([\w.]+)`", b)) for a, b in cells]


def named(root: Any, dotted: str) -> bool:
    """Say whether a dotted name leads to something."""
    for part in dotted.split("."):
        fields = getattr(root, "__dataclass_fields__", {})
        if not hasattr(root, part) and part not in fields:
            return False
        root = getattr(root, part, None)
    return True


@pytest.mark.parametrize(("section", "package"), [("quimb", "quimb.tensor"), ("TeNPy", "tenpy")])
@pytest.mark.filterwarnings("ignore")
def test_names_of_the_others_lead_to_ours(section: str, package: str) -> None:
    table = rows(section)
    assert len(table) > 20
    ours = [name for _, right in table for name in right]
    assert [name for name in ours if not named(tnkit, name)] == []
    pytest.importorskip(package.split(".")[0], reason=f"{section} is not installed")
    other = importlib.import_module(package)
    theirs = [name for left, _ in table for name in left]
    assert [name for name in theirs if not named(other, name)] == []


# ---- what is to go


def overdue(modules: list[Any], version: str) -> list[str]:
    """Return the deprecated names, methods too, that should be gone by this version."""
    found = []
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            inside = vars(value) if inspect.isclass(value) else {}
            for where, member in {
                name: value,
                **{f"{name}.{k}": v for k, v in inside.items()},
            }.items():
                member = getattr(member, "__func__", getattr(member, "fget", member))
                end = getattr(member, "removed_in", None)
                if end and version_numbers(end) <= version_numbers(version):
                    found.append(where)
    return found


def test_what_should_be_gone_is_gone() -> None:
    born_machine = pytest.importorskip("born_machine", reason="the plugin is not installed")
    assert overdue([tnkit, born_machine], tnkit.__version__) == []


def test_what_is_to_go_warns_works_and_is_found_when_due() -> None:
    mark = tnkit.deprecated("new", since="0.9", removed_in="0.10")

    @mark
    def old(x: int) -> int:
        """Return x."""
        return x

    class Value:
        turned = staticmethod(old)
        size = property(mark(lambda self: 3))

        @mark
        def grow(self) -> None: ...

    with pytest.warns(
        DeprecationWarning, match=r"old is deprecated since 0\.9 and goes in 0\.10; use new"
    ):
        assert old(3) == 3
    assert old.__doc__ == "Return x."
    module = types.SimpleNamespace(__all__=["old", "Value"], old=old, Value=Value)
    assert overdue([module], "0.9.7") == []
    assert overdue([module], "0.10.0") == ["old", "Value.turned", "Value.size", "Value.grow"]
    with pytest.raises(tnkit.ArgumentError, match=r"'0\.2' must come after since='0\.10'"):
        tnkit.deprecated("new", since="0.10", removed_in="0.2")
    with pytest.raises(tnkit.ArgumentError, match="versions like"):
        tnkit.deprecated("new", since="next", removed_in="0.2")
