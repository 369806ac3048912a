"""metafacs: train facial Action Unit detectors from few AU labels and many expression labels."""

__version__ = "0.1.0"
