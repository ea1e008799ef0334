"""The ports' implementations, one vendor each. Vendor errors end here."""
