"""The eye of radloop: chest films and uncertain labels to a trained encoder, predictions, what they are worth."""

__all__: list[str] = []
