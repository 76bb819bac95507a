"""Where the data lives, and how a read at an earlier optime is answered.

Each engine has a folder. `describe.py`: which method of a driver a command stands for;
`generic_fields.py`: the fields that any command may have; `types.py`, `shown.py`: BSON's types and
values as a server's messages tell them.
"""
