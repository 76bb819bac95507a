"""A client in another process and another language: the driver for Node.js.

Its lines are in no Python stack, so a stale read is reported with what the client says of itself:
the driver, its version, the name of its application, and the comment of the command.
"""

import json
import subprocess

import pytest
from applications import reported
from npm_packages import npm_package

EVERYDAY = """
import assert from "node:assert/strict";
import { MongoClient } from "mongodb";

const [uri, database] = process.argv.slice(2);
const client = new MongoClient(uri);
const orders = client.db(database).collection("orders");

await orders.createIndex({ number: 1 }, { unique: true });
await orders.insertMany([...Array(250).keys()].map((number) => ({ _id: number, number })));
assert.equal(await orders.countDocuments({ number: { $gte: 100 } }), 150);
assert.equal((await orders.find().batchSize(60).toArray()).length, 250);
await orders.updateOne({ _id: 7 }, { $push: { items: "tea" } });
assert.deepEqual(await orders.findOne({ items: "tea" }), { _id: 7, number: 7, items: ["tea"] });
const [total] = await orders.aggregate([{ $group: { _id: null, n: { $sum: 1 } } }]).toArray();
assert.equal(total.n, 250);
await assert.rejects(orders.insertOne({ number: 7 }), { code: 11000 });

await client.withSession((session) =>
  session.withTransaction(() => orders.insertOne({ number: 1000 }, { session })),
);
await client.withSession(async (session) => {
  session.startTransaction();
  await orders.insertOne({ number: 1001 }, { session });
  await session.abortTransaction();
});
assert.equal(await orders.countDocuments(), 251);

const stream = orders.watch([], { maxAwaitTimeMS: 100 });
const next = stream.next();
let change = null;
next.then((event) => (change = event));
for (let number = 2000; change === null; number += 1) await orders.insertOne({ number });
assert.equal(change.operationType, "insert");
await stream.close();
await client.close();
console.log(JSON.stringify("done"));
"""

SHOP = """
import { MongoClient } from "mongodb";

const [uri, number] = process.argv.slice(2);
const client = new MongoClient(uri, { appName: "checkout" });
const orders = client.db("shop").collection("orders");
await orders.insertOne({ _id: number }, { comment: "place the order" });
const order = await orders.findOne({ _id: number }, { comment: "show the order" });
await client.close();
console.log(JSON.stringify(order));
"""

TEST_SHOP = """
import json
import subprocess

import pytest


def shop(uri, number):
    command = ["node", "shop.mjs", uri + "&readPreference=secondaryPreferred", number]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def test_without_lag(replica_lag_uri):
    assert shop(replica_lag_uri, "1")


@pytest.mark.replica_lag
def test_with_lag(replica_lag_uri):
    assert shop(replica_lag_uri, "7")
"""


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """The driver, in a folder of its own."""
    return npm_package("mongodb@7", tmp_path_factory.mktemp("node"))


def test_everyday_use(uri, database, node_modules, tmp_path):
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "everyday.mjs").write_text(EVERYDAY)
    command = ["node", "everyday.mjs", uri, database]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == "done"


def test_a_stale_read_is_reported_with_the_client_and_its_comment(application, node_modules):
    (application.path / "node_modules").symlink_to(node_modules)
    application.file("shop.mjs", SHOP)
    application.file("test_shop.py", TEST_SHOP)
    result = application.run("--replica-lag=200ms")
    result.assert_outcomes(passed=1, failed=1)
    [found] = reported(result.stdout.str())
    driver = json.loads((node_modules / "mongodb" / "package.json").read_text())["version"]
    assert found.read.startswith('shop.orders.find_one({"_id": "7"})')
    assert found.missed[0].startswith('insert_one({"_id": "7"})')
    for site, comment in [
        (found.read_at, "show the order"),
        (found.missed_at[0], "place the order"),
    ]:
        for word in ("nodejs", driver, "checkout", comment):
            assert word in site
