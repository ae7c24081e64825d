"""The commands behind `vaelib …`, one module each."""
