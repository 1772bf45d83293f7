"""Chest phantoms: films and reports of patients who do not exist, with their truth."""
