"""Figures, drawn from the tables that runs leave behind and never from a model."""
