"""One cell measured.

Arms are made and held to the oracle, rounds run until they are enough, what comes of each is kept.
"""
