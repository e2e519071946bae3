"""Benchmarks are run by hand, one command each; pytest does not collect them."""

collect_ignore_glob = ["*.py"]
