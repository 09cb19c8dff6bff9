"""The one model definition that all strategies share. It knows no strategy."""
