"""Searches for the replication schedule that breaks a test; Hypothesis draws and shrinks it."""
