"""A door to a store: ``python front.py STORE_PORT -H HOST -p PORT`` passes bytes between them.

The store of the tests keeps its objects in memory and would lose them if it were killed. So
what is killed is the door. To all clients that is the same: open connections break off, and
nobody listens.
"""

import argparse
import asyncio


async def serve(host: str, port: int, store_port: int) -> None:
    """Pass on what comes, for ever."""

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_connection(host, store_port)
        await asyncio.gather(_pass(reader, store_writer), _pass(store_reader, writer))

    server = await asyncio.start_server(enter, host, port)
    await server.serve_forever()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes of one direction, until either side has hung up."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        # The other direction ends too, with the connection.
        return
    finally:
        writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("store_port", type=int)
    parser.add_argument("-H", dest="host", required=True)
    parser.add_argument("-p", dest="port", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.host, given.port, given.store_port))
