"""Where the data lives, and how a read at an earlier optime is answered."""
