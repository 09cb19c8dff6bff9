"""How the next tokens are chosen from logits: greedy search, beam search, sampling.

A search knows no strategy. It reads logits and says which token each row is fed next, and from which beam that row goes
on. ``loop.decode`` runs one over a session. This package does not import torch by itself; ``options`` never does.
"""
