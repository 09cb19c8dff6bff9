"""A page that explains how one real phrase is decoded: ``walk`` observes it, ``page`` writes it down."""
