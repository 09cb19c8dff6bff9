"""How the products of a model are computed and its steps executed: kernels stand above the model, which knows none."""
