"""How figures, labels and progress are written for people; everything else may import this."""
