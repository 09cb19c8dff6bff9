"""The run folder, written and read.

Records of rounds and arms, cells, tables as files, and what is wrong in any of them.
"""
