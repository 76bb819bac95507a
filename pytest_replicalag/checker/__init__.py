"""Judges what clients observed: records in, findings out.

It knows nothing of the simulation, so it judges what was seen, not what was meant.
"""
