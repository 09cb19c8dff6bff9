"""A page that walks through decoding one real phrase: ``walk`` watches it, ``page`` writes it down."""
