"""How often to measure."""
