"""The hand of radloop: drafts of reports, and the benchmarks that score them. Nothing is here yet.

To come: an encoder joined to a language model, training, drafting, metrics and named protocols.
"""

__all__: list[str] = []
