"""A recipe is a set of parameters, by the same name in Python and on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tnkit
from born_machine import BornMachine, chow_liu, recipe
from born_machine.cli import main
from born_machine.options import PARAMETERS, parse
from born_machine.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_the_same_in_python_and_on_the_command_line(name: str) -> None:
    settings = recipe(name)
    machine = BornMachine(**settings)
    assert {key: machine.get_params()[key] for key in settings} == settings
    options = vars(parse(["train", "digits", "--recipe", name]))
    for key, default in PARAMETERS.items():
        if key != "random_state":
            assert options[key] == settings.get(key, default), key


def test_a_settings_file_and_flags_win_over_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('data = "digits"\nmax_bond = 7\nsweeps = 3\n', encoding="utf-8")
    options = parse(["train", "--config", str(file), "--recipe", "table", "--sweeps", "2"])
    assert (options.data, options.max_bond, options.sweeps) == ("digits", 7, 2)
    assert options.order == recipe("table")["order"]
    file.write_text('data = "digits"\nrecipe = "table"\nmax_bond = 7\n', encoding="utf-8")
    options = parse(["train", "--config", str(file)])
    assert (options.max_bond, options.order) == (7, recipe("table")["order"])
    for wrong in ('"tabel"', '["table"]', "3"):
        file.write_text(f'data = "digits"\nrecipe = {wrong}\n', encoding="utf-8")
        with pytest.raises(tnkit.ArgumentError, match=r"recipe .* is unknown; use one of table"):
            parse(["train", "--config", str(file)])


def test_a_recipe_is_a_new_dictionary() -> None:
    recipe("table")["value_cutoff"].clear()
    assert len(recipe("table")["value_cutoff"]) == recipe("table")["sweeps"]


def test_an_unknown_recipe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(tnkit.ArgumentError, match="recipe 'tabel' is unknown; use one of table"):
        recipe("tabel")
    with pytest.raises(SystemExit) as left:
        main(["train", "digits", "--recipe", "tabel"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "'table'" in error


def test_a_table_is_learned_better_than_by_its_tree() -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 2, (1200, 16))
    for k in range(2, 16):  # of two parents, which no tree holds
        samples[:, k] = samples[:, k - 1] & ~samples[:, k - 2] | (rng.random(1200) < 0.3)
    train, validation = samples[:800], samples[800:]
    tree = chow_liu(train, (2,) * 16)
    machine = BornMachine(**recipe("table"), random_state=0).fit(train, validation=validation)
    assert machine.score(validation) > np.mean(tree.log_likelihood(validation)) + 0.5
    few = train[:300]
    machine = BornMachine(**recipe("table") | {"validation_fraction": 0.1}, random_state=0).fit(few)
    tree = chow_liu(few, (2,) * 16)
    assert machine.score(validation) > np.mean(tree.log_likelihood(validation)) + 0.5
