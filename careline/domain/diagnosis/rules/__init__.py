"""Finding the cause of a trouble: guides as data, a belief over sets of causes, and the next best step. Pure."""
