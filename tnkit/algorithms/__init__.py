"""Algorithms on chains: each a settings value, a problem for the sweep, one verb."""
