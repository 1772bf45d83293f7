"""The hand of radloop: drafts of reports, and the benchmarks that score them.

A drafter joins the encoder to a language model; generators, metrics and named protocols say what it is worth.
"""

__all__: list[str] = []
