"""The proof of the detectors: cases as data, one file a family, rows with their intervals."""
