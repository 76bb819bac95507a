"""The model of a MongoDB replica set: clock, oplog, lag, members, concerns, selection.

It knows neither pytest, mongomock, threads nor sockets, and holds no documents.
"""
