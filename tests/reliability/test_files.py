"""A short part of `fuzz_files.py`: damaged and forged files are refused in words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_files import READERS, fuzz

TABLE = {reader.name: reader for reader in READERS()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TABLE)
def test_no_damaged_file_crashes_a_reader_or_is_read_as_another(name: str) -> None:
    found = fuzz(TABLE[name], 300, seed=1)
    assert found["failures"] == []
    assert found["refused"] > 100
