"""Reports: one JSON document a run, and pure functions from it to everything that people and machines read."""
