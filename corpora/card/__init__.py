"""Dataset cards: what is in a corpus, told from its data."""
