"""How the products of a model are computed and its steps executed. Kernels import the model, which imports none."""
