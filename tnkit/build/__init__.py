"""Builders: lattices, models on graphs, counting problems, circuits."""
