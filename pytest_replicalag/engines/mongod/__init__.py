"""One real MongoDB node plays the whole set: a lagging secondary is its own past.

The node, a replica set of one member, reads its past itself: read concern `snapshot` with
`atClusterTime`, the optime that the simulated member has applied.
MongoDB manual, Read Concern "snapshot".
"""
