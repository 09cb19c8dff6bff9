"""The ledger: every matrix product of the running model, its shape in letters and numbers, and what it grows with.

``expected`` gives the products by formula, and ``recorded`` gives them by watching the model run. ``verify`` requires
that both agree. ``table`` writes the ledger down, and everything that is printed or drawn reads that table.
"""
