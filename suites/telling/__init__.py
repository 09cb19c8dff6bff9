"""Sentences and tables for people, made from the tables of a run alone."""
