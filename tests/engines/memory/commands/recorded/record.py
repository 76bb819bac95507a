"""Run the recorded commands on a real server again, and write down what it replied.

    python record.py mongodb://127.0.0.1:27017/?directConnection=true

The server has to be a replica set of MongoDB 6.0.5; its databases are dropped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pymongo
from bson import Int64, json_util
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

HERE = Path(__file__).parent
OPTIONS: Any = CodecOptions(document_class=dict)
OF_THE_SET = ("$clusterTime", "operationTime", "electionId", "opTime")
_LINES = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, document_class=dict, tz_aware=False
)


def ask(client: Any, database: str, command: Any) -> Any:
    """The server's reply, without what tells of the set."""
    try:
        reply = client[database].command(command, check=False, codec_options=OPTIONS)
    except OperationFailure as error:
        reply = dict(error.details or {})
    return {name: value for name, value in reply.items() if name not in OF_THE_SET}


def state(client: Any, database: str) -> dict[str, Any]:
    """The collections of a database, each with its documents, indexes and options."""
    found = {}
    for told in client[database].list_collections():
        if told["name"].startswith("system.") or told["type"] != "collection":
            continue
        documents = ask(client, database, {"find": told["name"], "batchSize": 10_000})
        indexes = ask(client, database, {"listIndexes": told["name"]})["cursor"]["firstBatch"]
        whole = {
            "documents": documents["cursor"]["firstBatch"],
            "indexes": [index for index in indexes if index["name"] != "_id_"],
            "options": dict(told["options"]),
        }
        found[told["name"]] = {name: part for name, part in whole.items() if part}
    return found


def plain(value: Any) -> Any:
    """A value whose 64-bit numbers are still such when they come back from JSON."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {"$numberLong": str(int(value))} if isinstance(value, Int64) else value


def record(client: Any, path: Path) -> None:
    """Rewrite one file.

    `after` is what has become of the collections that a command changed. A reply of null stays: the
    engine refuses such a command, so it is not run here, and both go on from the same state.
    """
    lines = json_util.loads(path.read_text("utf-8"), json_options=_LINES)
    before: dict[str, Any] = {}
    for database in {line["db"] for line in lines} - {"admin"}:
        client.drop_database(database)
    for line in lines:
        if line["reply"] is None:
            continue
        line["reply"] = ask(client, line["db"], line["command"])
        line.pop("after", None)
        databases = {line["db"], "t"} - {"admin"}
        now = {name: state(client, name) for name in databases}
        after = {
            f"{name}.{collection}": now[name].get(collection)
            for name in sorted(databases)
            for collection in sorted({*now[name], *before.get(name, {})})
            if now[name].get(collection) != before.get(name, {}).get(collection)
        }
        if after:
            line["after"] = after
        before.update(now)
    rows = []
    for line in lines:
        text = json_util.dumps(plain(line), json_options=json_util.RELAXED_JSON_OPTIONS)
        rows.append(json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")))
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")


if __name__ == "__main__":
    for path in sorted(HERE.glob("*.json")):
        record(pymongo.MongoClient(sys.argv[1]), path)
