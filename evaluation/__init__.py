"""How good an analysis is, measured on documents of our own; half of them no change was ever tuned on."""
