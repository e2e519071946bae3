"""Tensors in a line: matrix product states and operators, and what is done with them."""
