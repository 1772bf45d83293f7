"""The eye of radloop: chest films and uncertain labels to a trained encoder, its predictions and what they are worth."""

__all__: list[str] = []
