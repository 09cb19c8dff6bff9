"""The ledger: every matrix product of the running model, with its shape as symbols and numbers, what it grows with, and
when it runs. ``expected`` says it by formula, ``recorded`` by watching the model run, ``verify`` that both agree, and
``table`` writes it down; all that is printed or drawn reads that table.
"""
