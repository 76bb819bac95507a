"""kombu's MongoDB transport: message queues of Celery and others.

It makes a capped collection for its broadcasts unless there is one of that name, and the simulated
set has none that are capped. So the collection is made before, and queues work; broadcasts do not.
"""

import contextlib
import gc
import socket
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest

kombu = pytest.importorskip("kombu")

APP = """
import kombu
import pymongo


def finds_its_order(uri, number):
    with pymongo.MongoClient(uri) as client:
        if "messages.broadcast" not in client.queues.list_collection_names():
            client.queues.create_collection("messages.broadcast")
    with kombu.Connection(uri.replace("/?", "/queues?")) as connection:
        queue = connection.SimpleQueue(f"orders-{number}")
        place_order(queue, number)
        return count_orders(queue) == 1


def place_order(queue, number):
    queue.put({"number": number})  # write


def count_orders(queue):
    return queue.qsize()  # read
"""


@pytest.fixture
def broker(uri, database):
    parts = urlsplit(uri)
    with pymongo.MongoClient(uri) as client:
        client[database].create_collection("messages.broadcast")
    with kombu.Connection(urlunsplit(parts._replace(path=f"/{database}"))) as connection:
        yield connection
        for channel in connection.connection.channels if connection.connected else ():
            channel.client.client.close()  # kombu leaves that to the garbage collector


def drain(broker):
    """Let consumers receive what there is."""
    with contextlib.suppress(socket.timeout):
        while True:
            broker.drain_events(timeout=0.1)


def test_simple_queues(broker):
    queue = broker.SimpleQueue("orders")
    queue.put({"number": 7})
    queue.put({"number": 8})
    assert queue.qsize() == 2
    message = queue.get(block=False)
    assert message.payload == {"number": 7}
    message.ack()
    assert queue.clear() == 1
    with pytest.raises(queue.Empty):
        queue.get(block=False)
    queue.close()


def test_exchanges_and_priorities(broker):
    exchange = kombu.Exchange("shop", type="topic")
    queue = kombu.Queue("teas", exchange, routing_key="order.tea.*", max_priority=9)
    received = []
    channel = broker.channel()
    producer = kombu.Producer(channel, exchange)
    with kombu.Consumer(channel, [queue], callbacks=[lambda body, message: received.append(body)]):
        producer.publish(1, routing_key="order.tea.green", priority=1)
        producer.publish(2, routing_key="order.tea.black", priority=8)
        producer.publish(3, routing_key="order.cup.black")
        drain(broker)
    assert received == [2, 1]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # kombu leaves its client open
def test_broadcasts_need_a_capped_collection(uri, database, broker, pytestconfig):
    if pytestconfig.option.replica_lag_mongod:
        pytest.skip("a real node has capped collections")
    with pymongo.MongoClient(uri) as client:
        client[database].drop_collection("messages.broadcast")
    with pytest.raises(kombu.exceptions.OperationalError, match="capped"):
        broker.SimpleQueue("orders")
    gc.collect()


def test_a_stale_queue_size_is_reported_with_the_applications_lines(application):
    found = application.reports(APP)[-1]
    assert found.read.startswith('queues.messages.count_documents({"queue": "orders-7"})')
    assert found.read_at == f"{application.site('read')} in count_orders"
    assert found.missed[0].startswith("insert_one({")
    assert found.missed_at == (f"{application.site('write')} in place_order",)
