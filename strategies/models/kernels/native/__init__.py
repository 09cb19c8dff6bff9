"""Kernels in C++, which are compiled on the machine that runs them, when they are first used."""
