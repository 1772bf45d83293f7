"""A second look at what was de-identified, by means of its own: it shares nothing with what did it."""
