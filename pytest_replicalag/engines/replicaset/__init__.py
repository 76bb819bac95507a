"""The engine `replicaset`: a real replica set, whose secondaries are held back by a fail point.

`real_set.py` finds its members and looks whether they will do, `held_members.py` stops and resumes
their replication, `primary_client.py` asks the primary.
"""
