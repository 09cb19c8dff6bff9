"""Where the time of a decode step goes: torch's profiler with named ranges, in windows that are never timed.

``ranges`` names what the model does, ``trace`` runs the profiler and writes the trace, ``calls`` reads its events,
``tables`` adds them up, ``diff`` compares two strategies, and ``report`` prints.
"""
