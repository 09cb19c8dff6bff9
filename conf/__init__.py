"""Configuration, as a package so that an installed copy finds it (`pkg://conf`)."""
