"""A checkpoint in the form that another runtime reads: CTranslate2's own, or two converted torch modules."""
