"""Loading: files, built-in sets, thresholds, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tnkit
from born_machine.data import (
    bars_and_stripes,
    load_dataset,
    shift_reach,
    shifted_images,
    take_rows,
)


def test_digits_are_binarised_images() -> None:
    digits = load_dataset("digits")
    assert digits.samples.shape == (1797, 64)
    assert digits.image_shape == (8, 8)
    assert set(np.unique(digits.samples)) == {0, 1}
    assert "above 8" in digits.note


def test_bars_and_stripes_are_whole_rows_or_columns() -> None:
    patterns = bars_and_stripes(3, 4).reshape(-1, 3, 4)
    assert len(patterns) == 2**3 + 2**4 - 2
    rows = (patterns == patterns[:, :, :1]).all(axis=(1, 2))
    columns = (patterns == patterns[:, :1, :]).all(axis=(1, 2))
    assert (rows | columns).all()


@pytest.mark.parametrize("kind", ["npy", "npz", "npz with several"])
def test_images_are_cut_at_half_their_range(tmp_path: Path, kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5)).astype(np.uint8)
    images[0, 0, :2] = (127, 128)
    if kind == "npy":
        path, key = tmp_path / "a.npy", None
        np.save(path, images)
    elif kind == "npz":
        path, key = tmp_path / "a.npz", None
        np.savez(path, pixels=images)
    else:
        path, key = tmp_path / "a.npz", "pixels"
        np.savez(path, pixels=images, labels=np.arange(6))
    dataset = load_dataset(path, key=key)
    assert np.array_equal(dataset.samples, (images > 127).reshape(6, 20))
    assert dataset.image_shape == (4, 5)
    assert "above 127" in dataset.note


def test_a_threshold_is_used_as_stated(tmp_path: Path) -> None:
    flat = np.array([[0.0, 0.3, 0.7], [0.3, 0.31, 1.0]])
    np.save(tmp_path / "a.npy", flat)
    dataset = load_dataset(tmp_path / "a.npy", threshold=0.3)
    assert dataset.samples.tolist() == [[0, 0, 1], [0, 1, 1]]
    assert dataset.image_shape is None


def test_binary_images_are_taken_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", bars_and_stripes(3, 3).reshape(-1, 3, 3))
    dataset = load_dataset(tmp_path / "a.npy")
    assert np.array_equal(dataset.samples, bars_and_stripes(3, 3))
    assert "as they are" in dataset.note


def test_the_threshold_of_one_set_cuts_an_image_of_another_the_same(tmp_path: Path) -> None:
    image = np.array([[[0, 5], [8, 0]]])
    np.save(tmp_path / "a.npy", np.concatenate([image, 16 * (image > 5)]))
    np.save(tmp_path / "b.npy", image)
    first = load_dataset(tmp_path / "a.npy")
    second = load_dataset(tmp_path / "b.npy", threshold=first.threshold)
    assert first.threshold == second.threshold == 8
    assert np.array_equal(second.samples, first.samples[:1])


@pytest.mark.parametrize("threshold", [None, "none", 0.5, 8.0])
def test_zeros_and_ones_stay_whatever_the_threshold(tmp_path: Path, threshold: Any) -> None:
    patterns = bars_and_stripes(3, 3)
    np.save(tmp_path / "a.npy", patterns.astype(float))
    assert np.array_equal(load_dataset(tmp_path / "a.npy", threshold=threshold).samples, patterns)


def test_images_keep_their_levels_where_the_threshold_is_none(tmp_path: Path) -> None:
    images = np.arange(12).reshape(3, 2, 2) % 5
    np.save(tmp_path / "a.npy", images)
    dataset = load_dataset(tmp_path / "a.npy", threshold="none")
    assert np.array_equal(dataset.samples, images.reshape(3, 4))
    assert dataset.threshold == "none"


def test_gaps_stay_gaps_under_a_threshold(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[[0.2, np.nan], [0.7, -1.0]]]))
    dataset = load_dataset(tmp_path / "a.npy", missing="marginalise")
    assert dataset.samples.tolist() == [[0, -1, 1, -1]]
    assert dataset.threshold == 0.5
    np.save(tmp_path / "b.npy", np.array([[0, -1, 3]]))
    assert load_dataset(tmp_path / "b.npy", missing="marginalise").samples.tolist() == [[0, -1, 3]]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_shifts_move_every_image_by_every_small_vector(
    height: int, width: int, reach: int, seed: int
) -> None:
    images = np.random.default_rng(seed).integers(0, 3, (4, height * width)).astype(np.uint8)
    shifted = shifted_images(images, (height, width), reach)
    assert len(shifted) == 4 * (2 * reach * (reach + 1) + 1)
    assert np.array_equal(shifted[:4], images)
    expected = set()
    for image in images.reshape(-1, height, width):
        for down in range(-reach, reach + 1):
            for right in range(abs(down) - reach, reach - abs(down) + 1):
                moved = np.zeros_like(image)
                for y in range(height):
                    for x in range(width):
                        if 0 <= y - down < height and 0 <= x - right < width:
                            moved[y, x] = image[y - down, x - right]
                expected.add(moved.tobytes())
    assert {row.tobytes() for row in shifted} == expected


def test_shifts_follow_the_size_of_images_and_of_the_set() -> None:
    assert shift_reach((28, 28), 900) == 2
    assert shift_reach((28, 28), 3000) == 1
    assert shift_reach((28, 28), 50_000) == 0
    assert shift_reach((8, 8), 900) == 0
    assert shift_reach(None, 900) == 0


def write(path: Path, content: Any) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("gone.npy", None, {}, "no built-in data set of that name; built in: digits"),
        ("a.bin", b"1,2", {}, "expected .npy, .npz, .csv, .amat, .txt or an idx .*got .bin"),
        ("a.csv", b"x,y\n1,spam", {}, "not a table of numbers"),
        ("a.csv", b"1,0\n1", {}, "not a table of numbers"),
        ("a.csv", b"1,0", {"key": "w"}, "holds one table"),
        ("a-ubyte", b"\0\0\x08\x01\0\0\0\x05ab", {}, "not a readable idx"),
        ("a-ubyte", b"", {}, "not a readable idx"),
        ("a-ubyte.gz", b"rubbish", {}, "not a readable idx"),
        ("a.npy", b"rubbish", {}, "not a readable .npy"),
        ("a.npz", b"rubbish", {}, "not a readable .npz"),
        ("a.npy", np.zeros((4, 4), object), {}, "not a readable .npy"),
        ("a.npz", {"u": np.ones(2), "v": np.ones(2)}, {}, "more than one array; choose a key of u"),
        ("a.npz", {"u": np.ones(2)}, {"key": "w"}, "no array 'w'; choose a key of u"),
        ("a.npy", np.ones((2, 2)), {"key": "w"}, "a .npy holds one array"),
        ("a.npy", np.full((2, 4), 255), {}, "values reach 255; pass a threshold"),
        ("a.npy", np.zeros((0, 3)), {}, "no data"),
        ("a.npy", np.zeros(3), {}, r"got shape \(3,\)"),
        ("a.npy", np.array([["a"]]), {}, "array of numbers"),
        ("a.npy", np.full((2, 2), np.nan), {}, "NaN or infinite"),
        ("a.npy", np.full((2, 2), np.nan), {"threshold": 0.5}, "NaN or Inf"),
        ("a.npy", np.full((2, 2), np.inf), {"missing": "marginalise"}, "NaN or infinite"),
        ("a.npy", np.eye(2), {"threshold": "half"}, "a finite number or 'none', got 'half'"),
        ("a.npy", np.ones((2, 4), int), {"image_shape": (3, 2)}, "not images of 3 x 2"),
        ("a.npy", np.ones((2, 2, 2), int), {"image_shape": (4, 1)}, r"images \(2, 2\), not"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path, name: str, content: Any, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        write(path, content)
    with pytest.raises((tnkit.TnkitError, OSError), match=message):
        load_dataset(path, **options)


@pytest.mark.parametrize("name", ["a.csv", "a.amat", "a-ubyte", "a-ubyte.gz"])
def test_other_formats_hold_the_same_samples(tmp_path: Path, name: str) -> None:
    patterns = bars_and_stripes(3, 4)
    path = tmp_path / name
    if name == "a.csv":
        np.savetxt(path, patterns, fmt="%d", delimiter=",", header="p", comments="")
        path.write_text("".join(["one,two\n", *path.read_text().splitlines(True)[1:]]))
    elif name == "a.amat":
        np.savetxt(path, patterns, fmt="%.1f")
    else:
        header = b"\0\0\x08\x03" + np.array([len(patterns), 3, 4], ">i4").tobytes()
        content = header + patterns.tobytes()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    dataset = load_dataset(path)
    assert np.array_equal(dataset.samples, patterns)
    assert dataset.image_shape == ((3, 4) if "ubyte" in name else None)


def test_rows_outside_the_set_are_refused() -> None:
    digits = load_dataset("digits")
    assert len(take_rows(digits, slice(1500, None)).samples) == 297
    with pytest.raises(tnkit.SizeError, match="rows 5000:6000 are empty, it has 1797 rows"):
        take_rows(digits, slice(5000, 6000))
