"""Damaged and hostile files against every reader.

``python tests/reliability/fuzz_files.py [--count 20000] [--seed 0] [reader ...]`` feeds each
reader that many mutated files and prints one JSON line a reader. A file may be refused by an error
the project means (a `TnkitError` or an OSError), or read; where the format carries checksums, what
is read must be what was written. Anything else counts as a failure: another exception, a hang of
five seconds, memory beyond the limit, another value. A third of the files of our own formats are
forged: hostile values under checksums that are right. `test_files.py` runs a short part of it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import resource
import signal
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tnkit
from tnkit.sealed import seal, unseal

__all__ = ["READERS", "Reader", "fuzz"]

SECONDS = 5.0
MEMORY = 2**30  # beyond what the process holds when it starts


@dataclass(frozen=True)
class Reader:
    """One way a file enters: how to write a good one, how to read it, what its value looks like.

    exact: the format carries checksums, so whatever is read must equal what was written.
    """

    name: str
    suffix: str
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    exact: bool


def _plain(value: Any) -> Any:
    """Return a value that can be compared, arrays as bytes."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, tnkit.MPS):
        return _plain([value.arrays, value.sites, str(value.gauge), value.log_scale])
    if isinstance(value, tnkit.MPO):
        return _plain([value.arrays, value.sites, value.log_scale])
    if isinstance(value, tnkit.Tensor):
        return _plain([value.array, value.names, sorted(value.tags)])
    if isinstance(value, tnkit.TensorNetwork):
        return _plain([*value.tensors, value.output])
    return value


def _mps(path: Path) -> None:
    tnkit.save(path, tnkit.random_mps(5, [2, 3, 2, 2, 3], bond_dim=3, dtype="complex128", seed=1))


def _mpo(path: Path) -> None:
    tnkit.save(path, tnkit.mpo_from_terms([{0: np.eye(2), 2: np.diag([1.0, -1.0])}], 3))


def _network(path: Path) -> None:
    network = tnkit.from_einsum("ab,bc->ca", np.ones((2, 3)), np.arange(12.0).reshape(3, 4))
    tnkit.save(path, network)


def _saved_plan(path: Path) -> None:
    tnkit.save(path, tnkit.plan("ab,bc,ca->", shapes=[(2, 3), (3, 4), (4, 2)]))


def _archive(path: Path) -> None:
    arrays = {"x": np.arange(12.0).reshape(3, 4), "n": np.arange(3)}
    tnkit.write_archive(path, "thing", {"note": [1, 2.5, "text"], "deep": {"a": None}}, arrays)


def _plan(path: Path) -> None:
    p = tnkit.plan("ab,bc,cd,da->", shapes=[(2, 3), (3, 4), (4, 5), (5, 2)], memory_limit=2000)
    path.write_text(p.to_json())


def _read_plan(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise tnkit.FormatError("not text") from None
    return tnkit.Plan.from_json(text)


def _born_readers() -> Iterator[Reader]:
    import born_machine
    from born_machine import checkpoint, data

    rng = np.random.default_rng(0)
    samples = rng.integers(0, 2, (30, 6))
    machine = born_machine.BornMachine(max_bond=3, sweeps=1, random_state=0).fit(samples)
    kept: list[Any] = []
    born_machine.BornMachine(max_bond=3, sweeps=1, random_state=0).fit(
        samples, on_sweep=kept.append
    )

    def read_model(path: Path) -> Any:
        found = born_machine.BornMachine.load(path)
        return [found.score_samples(samples), str(found.get_params())]

    def read_checkpoint(path: Path) -> Any:
        found, about = checkpoint.load_checkpoint(path)
        return [_plain(found.state), _plain(found.best), repr(found.history), about]

    def read_data(path: Path) -> Any:
        return data.load_dataset(path).samples

    def text(separator: str) -> Callable[[Path], None]:
        return lambda path: np.savetxt(path, samples, fmt="%d", delimiter=separator)

    def idx(path: Path) -> None:
        images = (samples.reshape(30, 2, 3) * 255).astype(np.uint8)
        header = bytes([0, 0, 8, 3]) + np.array(images.shape, ">i4").tobytes()
        content = header + images.tobytes()
        if path.name.endswith(".gz"):
            import gzip

            content = gzip.compress(content)
        path.write_bytes(content)

    yield Reader("Born model", ".npz", machine.save, read_model, True)
    yield Reader(
        "checkpoint",
        ".npz",
        lambda path: checkpoint.save_checkpoint(path, kept[-1], {"a": 1}),
        read_checkpoint,
        True,
    )
    yield Reader("data npy", ".npy", lambda path: np.save(path, samples), read_data, False)
    yield Reader(
        "data npz", ".npz", lambda path: np.savez_compressed(path, x=samples), read_data, False
    )
    yield Reader("data csv", ".csv", text(","), read_data, False)
    yield Reader("data amat", ".amat", text(" "), read_data, False)
    yield Reader("data idx", "-ubyte", idx, read_data, False)
    yield Reader("data idx gz", "-ubyte.gz", idx, read_data, False)


def _read_archive(path: Path) -> Any:
    return tnkit.read_archive(path, "thing")


CORE = (
    Reader("MPS", ".npz", _mps, tnkit.load, True),
    Reader("MPO", ".npz", _mpo, tnkit.load, True),
    Reader("network", ".npz", _network, tnkit.load, True),
    Reader("saved plan", ".npz", _saved_plan, tnkit.load, True),
    Reader("archive", ".npz", _archive, _read_archive, True),
    Reader("plan", ".json", _plan, _read_plan, True),
)


def READERS() -> tuple[Reader, ...]:  # noqa: N802  (a table, made late: the plugin is imported)
    """Return every reader, the plugin's too."""
    return (*CORE, *_born_readers())


INTERESTING = (b"\0", b"\xff", b"\x80\0\0\0", b"\xff\xff\xff\x7f", b"\xff" * 8, b"1e999", b"NaN")
NUMBERS = (b"0", b"-1", b"99999999999999999999", b"1e308", b"NaN", b"null", b"[]", b'"a"', b"2")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy: one to four of flip, cut, insert, repeat, overwrite, renumber."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        at = rng.randrange(len(data))
        span = rng.choice((1, 2, 4, 8, 64))
        kind = rng.randrange(8)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + span]
        elif kind == 3:
            data[at:at] = rng.choice(INTERESTING)
        elif kind == 4:
            data[at:at] = data[at : at + span] * rng.choice((1, 2, 100))
        elif kind == 5:
            piece = rng.choice(INTERESTING)
            data[at : at + len(piece)] = piece
        elif kind == 6:
            other = rng.randrange(len(data))
            data[at : at + span] = data[other : other + span]
        else:  # a number in the text becomes another one
            near = range(max(0, at - 200), min(len(data), at + 200))
            digits = [i for i in near if 48 <= data[i] <= 57]
            if digits:
                start = rng.choice(digits)
                data[start : start + 1] = rng.choice(NUMBERS)
    return bytes(data)


def remade(content: bytes, rng: random.Random) -> bytes:
    """Return a zip whose members were damaged first: every checksum of the zip is right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    name = rng.choice(sorted(members))
    members[name] = mutated(members[name], rng)
    if rng.random() < 0.1:
        del members[name]
    if rng.random() < 0.1:
        members[rng.choice(("../escape.npy", "/tmp/escape.npy", "x" * 300))] = b"\0" * 64
    made = io.BytesIO()
    compress = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", compress) as new:
        for name, member in members.items():
            new.writestr(name, member)
    return made.getvalue()


HOSTILE = (None, True, -1, 0, 3, 2**70, 1e308, -0.5, "", "x", "../x", [], [0], [2**40, 2**40], {})


def forged(content: bytes, rng: random.Random) -> bytes:
    """Return a file with one value replaced by a hostile one and all its checksums made anew."""
    if content[:2] != b"PK":
        return seal(_edited(unseal(content), rng)).encode()
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = unseal(members.pop("manifest.json"))
    if members and rng.random() < 0.3:
        name = rng.choice(sorted(members))
        members[name] = mutated(members[name], rng)
    for name, entry in manifest["arrays"].items():
        entry["sha256"] = hashlib.sha256(members[f"{name}.npy"]).hexdigest()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
        new.writestr("manifest.json", seal(_edited(manifest, rng)))
        for name, member in members.items():
            new.writestr(name, member)
    return made.getvalue()


def _edited(fields: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    name = rng.choice(sorted(fields))
    return fields | {name: _replaced(fields[name], rng)}


def _replaced(fields: Any, rng: random.Random) -> Any:
    """Return JSON values with one of them, anywhere, replaced."""
    if isinstance(fields, dict) and fields and rng.random() < 0.95:
        name = rng.choice(sorted(fields))
        return fields | {name: _replaced(fields[name], rng)}
    if isinstance(fields, list) and fields and rng.random() < 0.8:
        at = rng.randrange(len(fields))
        return [*fields[:at], _replaced(fields[at], rng), *fields[at + 1 :]]
    return rng.choice(HOSTILE)


class _Hang(BaseException):
    pass


def _alarm(*_: Any) -> None:
    raise _Hang


def fuzz(reader: Reader, count: int, seed: int = 0) -> dict[str, Any]:
    """Feed `count` damaged files to a reader; return what happened, counted.

    The process may take `MEMORY` bytes more while it runs. In the result, "failures" lists at
    most ten descriptions, each with the number of the case; the same seed gives the same files.
    """
    signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{reader.suffix}"
        reader.write(path)
        good = path.read_bytes()
        truth = repr(_plain(reader.read(path)))
        counts: Counter[str] = Counter()
        failures: list[str] = []
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        old = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, old[1]))
        try:
            for case in range(count):
                rng = random.Random(f"{reader.name} {seed} {case}")
                forge = reader.exact and case % 3 == 2
                if forge:
                    content = forged(good, rng)
                elif good[:2] == b"PK" and case % 3 == 1:
                    content = remade(good, rng)
                else:
                    content = mutated(good, rng)
                path.write_bytes(content)
                what, detail = _try(reader, path, None if forge or content == good else truth)
                counts[what] += 1
                if what == "failed" and len(failures) < 10:
                    failures.append(f"case {case}: {detail}")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, old)
    return {"reader": reader.name, "files": count, **counts, "failures": failures}


def _try(reader: Reader, path: Path, truth: str | None) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        value = reader.read(path)
    except (tnkit.TnkitError, OSError) as error:
        return ("failed", "an error without words") if not str(error) else ("refused", "")
    except _Hang:
        return "failed", f"no answer in {SECONDS} s"
    except BaseException as error:
        return "failed", f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    if reader.exact and truth is not None and repr(_plain(value)) != truth:
        return "failed", "another value was read in silence"
    return "read", ""


def main() -> None:
    """Run what was asked for; exit 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", nargs="*")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for reader in READERS():
        if not options.reader or reader.name in options.reader:
            found = fuzz(reader, options.count, options.seed)
            failed |= bool(found["failures"])
            print(json.dumps(found), flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
