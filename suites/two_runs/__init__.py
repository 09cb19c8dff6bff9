"""Two runs compared. ``runs`` reads them and refuses what cannot be compared, ``figures`` compares, ``report`` prints.

No round of one run is paired with a round of the other, so a comparison can say less than within one run.
"""
