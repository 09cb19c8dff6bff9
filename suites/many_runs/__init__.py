"""One case over many runs. ``folders`` finds the runs, ``runs`` reads them, ``case`` chooses, ``history`` tabulates.

Runs of one kind of hardware are a series. Nothing is claimed across hardware.
"""
