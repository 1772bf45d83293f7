"""Specifications of data sets: what a corpus must hold, and whether it does."""
