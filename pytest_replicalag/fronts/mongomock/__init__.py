"""The in-process front: routed subclasses of mongomock's client, database and collection.

They are clients, databases and collections of the library (`isinstance` holds). Each operation is
handed to the memory engine, which runs the library's own code on the primary's data or on a
secondary's; what the library refuses, it still refuses.
"""
