"""A seller with real-looking data, to be clicked through; `portal demo`."""
