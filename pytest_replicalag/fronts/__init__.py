"""The ways in which code under test reaches the simulated replica set."""
