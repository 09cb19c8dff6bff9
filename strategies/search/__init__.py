"""How the next tokens are chosen from logits: greedy search, beam search, sampling.

A search knows no strategy. It reads logits and says which token each row is fed next, and from which beam that row goes
on. ``loop.decode`` runs one over a session. This package does not import torch by itself; ``options`` never does.

Dimensions, beside those of the model: W beams of a sentence, X = B * W rows with the W of a sentence side by side, J
continuations or hypotheses of a sentence, R sequences returned.
"""
