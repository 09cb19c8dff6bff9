"""The shared model definition. It knows no strategy."""
