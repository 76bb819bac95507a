"""A forum: people sign up, post, comment and answer. Its pages read from the secondaries."""
