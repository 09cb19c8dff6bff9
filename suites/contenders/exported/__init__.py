"""Our model as two torch modules that other runtimes can convert: one for the source, one for a decoder step."""
