"""How decoding strategies are measured; `python -m suites --help` starts."""
