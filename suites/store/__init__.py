"""The run folder, written and read: rounds, arms, cells, and tables as files.

A file that is missing or damaged raises ResultsError, whose message says in one line what is wrong.
"""
