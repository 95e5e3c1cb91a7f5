"""Figures, never assertions: `python -m tests.bench` (`make bench`)."""
