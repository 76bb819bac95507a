"""Read and write concerns that are not well formed, and what MongoDB 6.0.5 says of them."""

from __future__ import annotations

from bson import Int64, Timestamp

NOW = Timestamp(1, 1)

READ_CONCERNS = [
    ("majority", 9, "readConcern field should be an object"),
    (None, 9, "readConcern field should be an object"),
    ([], 9, "readConcern field should be an object"),
    ({"levl": "local"}, 72, "Unrecognized option in readConcern: levl"),
    ({"level": 5}, 14, '"level" had the wrong type. Expected string, found int'),
    ({"level": "x"}, 9, "readConcern.level must be either 'local', "),
    ({"afterClusterTime": 5}, 14, '"afterClusterTime" had the wrong type. Expected timestamp, f'),
    ({"afterClusterTime": Timestamp(0, 0)}, 72, "afterClusterTime cannot be a null timestamp"),
    ({"level": "local", "atClusterTime": NOW}, 72, "only if level is equal to snapshot"),
    (
        {"level": "snapshot", "atClusterTime": NOW, "afterClusterTime": NOW},
        72,
        "Specifying a timestamp for readConcern snapshot in a causally consistent session is not",
    ),
    (
        {"level": "linearizable", "afterClusterTime": NOW},
        72,
        "afterClusterTime field can be set only if level is equal to majority, local, or snapshot",
    ),
    (
        {"level": "available", "afterClusterTime": NOW},
        72,
        "afterClusterTime field can be set only if level is equal to majority, local, or snapshot",
    ),
    ({"provenance": 5}, 14, "'ReadConcernArgs::parse.provenance' is the wrong type 'int'"),
    ({"provenance": "x"}, 2, "Enumeration value 'x' for field 'ReadConcernArgs::parse.provenanc"),
]

WRITE_CONCERNS = [
    ("x", 14, '"writeConcern" had the wrong type. Expected object, found string'),
    (None, 14, '"writeConcern" had the wrong type. Expected object, found null'),
    ({"x": 1}, 40415, "BSON field 'WriteConcernOptions.x' is an unknown field."),
    ({"w": True}, 9, "w has to be a number, string, or object; found: bool"),
    ({"w": [1]}, 9, "w has to be a number, string, or object; found: array"),
    ({"w": -1}, 9, "w has to be a non-negative number and not greater than 50; found: -1"),
    ({"w": 51}, 9, "w has to be a non-negative number and not greater than 50; found: 51"),
    ({"w": {}}, 9, "tagged write concern requires tags"),
    ({"w": {"member": 1, "b": "x"}}, 9, 'document with only number values; found: b: "x"'),
    ({"w": {"member": True}}, 9, "document with only number values; found: member: true"),
    ({"j": "x"}, 14, "BSON field 'WriteConcernOptions.j' is the wrong type 'string'"),
    ({"wtimeout": Int64(2**40)}, 9, "wtimeout must be a 32-bit integer"),
    ({"fsync": True, "j": 1}, 9, "fsync and j options cannot be used together"),
    ({"w": 1, "provenance": "x"}, 2, "Enumeration value 'x' for field 'WriteConcernOptions.pro"),
]  # fmt: skip

TAGGED = [
    ({"w": {"member": 2}}, None),
    ({"w": {"member": 0}}, None),
    (
        {"w": {"member": 3.5}, "wtimeout": 50},
        {
            "code": 64,
            "codeName": "WriteConcernFailed",
            "errmsg": "waiting for replication timed out",
            "errInfo": {
                "wtimeout": True,
                "writeConcern": {
                    "w": {"member": 3},
                    "wtimeout": 50,
                    "provenance": "clientSupplied",
                },
            },
        },
    ),
    (
        {"w": {"member": 4}, "j": False},
        {
            "code": 100,
            "codeName": "UnsatisfiableWriteConcern",
            "errmsg": 'Not enough nodes match write concern mode "{("member", 4)}"',
            "errInfo": {
                "writeConcern": {
                    "w": {"member": 4},
                    "j": False,
                    "wtimeout": 0,
                    "provenance": "clientSupplied",
                }
            },
        },
    ),
    (
        {"w": {"nope": 1, "member": 9}},
        {
            "code": 4,
            "codeName": "NoSuchKey",
            "errmsg": "No replica set tag key nope in config",
            "errInfo": {
                "writeConcern": {
                    "w": {"member": 9, "nope": 1},
                    "wtimeout": 0,
                    "provenance": "clientSupplied",
                }
            },
        },
    ),
]
"""Write concerns that count a tag's values, on a set of three of which one member does not
replicate, and the `writeConcernError` of a write that is made."""
