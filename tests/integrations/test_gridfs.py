"""GridFS, synchronous and asynchronous: files of several chunks."""

import asyncio

import gridfs
import pymongo
import pytest
from pymongo import AsyncMongoClient

CONTENT = bytes(range(256)) * 3000

APP = """
import gridfs
import pymongo


def finds_its_order(uri, number):
    with pymongo.MongoClient(uri) as client:
        bucket = gridfs.GridFSBucket(client.shop)
        bucket.upload_from_stream(f"order-{number}.pdf", b"tea")  # write
        stream = bucket.open_download_stream_by_name(f"order-{number}.pdf")  # read
        return stream.read() == b"tea"
"""

ASYNC_APP = """
import asyncio

import gridfs
from pymongo import AsyncMongoClient


def finds_its_order(uri, number):
    return asyncio.run(main(uri, number))


async def main(uri, number):
    async with AsyncMongoClient(uri) as client:
        bucket = gridfs.AsyncGridFSBucket(client.shop)
        await bucket.upload_from_stream(f"order-{number}.pdf", b"tea")  # write
        stream = await bucket.open_download_stream_by_name(f"order-{number}.pdf")  # read
        return await stream.read() == b"tea"
"""


def test_files_are_saved_and_loaded(uri, database):
    with pymongo.MongoClient(uri) as client:
        bucket = gridfs.GridFSBucket(client[database], chunk_size_bytes=100_000)
        number = bucket.upload_from_stream("a.bin", CONTENT, metadata={"of": "ada"})
        assert bucket.open_download_stream(number).read() == CONTENT
        bucket.upload_from_stream("a.bin", b"second")
        assert bucket.open_download_stream_by_name("a.bin").read() == b"second"
        assert bucket.open_download_stream_by_name("a.bin", revision=0).read() == CONTENT
        assert [file.length for file in bucket.find({"metadata.of": "ada"})] == [len(CONTENT)]
        bucket.delete(number)
        with pytest.raises(gridfs.NoFile):
            bucket.open_download_stream(number)
        assert client[database]["fs.chunks"].count_documents({}) == 1


def test_files_are_saved_and_loaded_asynchronously(uri, database):
    async def main():
        async with AsyncMongoClient(uri) as client:
            bucket = gridfs.AsyncGridFSBucket(client[database], chunk_size_bytes=100_000)
            number = await bucket.upload_from_stream("a.bin", CONTENT)
            stream = await bucket.open_download_stream(number)
            assert await stream.read() == CONTENT
            await bucket.delete(number)
            with pytest.raises(gridfs.NoFile):
                await bucket.open_download_stream(number)

    asyncio.run(main())


@pytest.mark.parametrize("app", [APP, ASYNC_APP], ids=["sync", "async"])
def test_a_file_that_a_secondary_lacks_is_reported_with_the_applications_lines(application, app):
    found = application.reports(app)[-1]
    assert found.read.startswith("shop.fs.files.find")
    assert found.read_at.startswith(application.site("read"))
    assert any(write.startswith("insert_one(") for write in found.missed)
    assert {site.partition(" ")[0] for site in found.missed_at} == {application.site("write")}
