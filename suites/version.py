"""The version of decodebench. This is its only place: the build reads it from here."""

__version__ = "0.2.0"
