"""A Born machine: p(x) = |psi(x)|^2 / Z with psi a matrix product state."""
