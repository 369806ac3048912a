"""Rendered datasets as the raw releases of real ones come: folder trees of camera frames and label files."""
