"""The eye of radloop: chest films and uncertain labels to a trained encoder. Nothing is here yet.

To come: preprocessing, uncertainty policies, training, prediction, evaluation and maps.
"""

__all__: list[str] = []
