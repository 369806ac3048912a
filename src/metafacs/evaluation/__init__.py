"""Scores, comparisons and tables, all of them made from saved predictions and never from a model."""
