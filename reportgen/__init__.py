"""The hand of radloop: drafts of reports, and the benchmarks that score them.

Here are metrics, named protocols and the benchmark. To come: an encoder joined to a language model, training, drafting.
"""

__all__: list[str] = []
