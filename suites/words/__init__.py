"""How figures, labels and progress are written for people. Every other room may import this one."""
