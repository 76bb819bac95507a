"""A small shop, as it was deployed on a Tuesday."""
