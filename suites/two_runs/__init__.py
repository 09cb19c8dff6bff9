"""Two runs side by side. No round of one was paired with a round of the other, so what can be said is less than within
one run: ``runs`` reads them and refuses what cannot be compared, ``figures`` compares, ``report`` prints.
"""
