"""One report of a run, and its renderings."""
