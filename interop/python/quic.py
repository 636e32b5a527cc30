"""An aioquic client of an echo server over QUIC: streams side by side, and datagrams.

aioquic is a QUIC implementation in Python that shares no code with quinn. Exit code 0 and the lines
"streams N", "datagrams N" and "retries N" mean that all came back unchanged, and how many Retry
packets (RFC 9000 section 17.2.5) were received. With --h3 it makes one request over HTTP/3 instead,
and prints its status and body.
"""

import argparse
import asyncio
import ssl

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import DatagramFrameReceived
from aioquic.quic.logger import QuicLogger

# What each stream carries, up to more than a window holds.
STREAMS = [0, 1, 1199, 65_536, 3_000_000]
# Up to what fits into the smallest packet that any path carries.
DATAGRAMS = [0, 1, 500, 1100]


class Client(QuicConnectionProtocol):
    """Keeps what is received beside the streams."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.datagrams = asyncio.Queue()
        self.answers = asyncio.Queue()
        self.h3 = None

    def quic_event_received(self, event):
        if isinstance(event, DatagramFrameReceived):
            self.datagrams.put_nowait(event.data)
        if self.h3 is None:
            super().quic_event_received(event)
            return
        for part in self.h3.handle_event(event):
            if isinstance(part, (HeadersReceived, DataReceived)):
                self.answers.put_nowait(part)

    async def get(self, name, path):
        self.h3 = H3Connection(self._quic)
        stream = self._quic.get_next_available_stream_id()
        headers = [(b":method", b"GET"), (b":scheme", b"https")]
        headers += [(b":authority", name.encode()), (b":path", path.encode())]
        self.h3.send_headers(stream_id=stream, headers=headers, end_stream=True)
        self.transmit()
        status, body, ended = None, b"", False
        while not ended:
            part = await self.answers.get()
            if isinstance(part, HeadersReceived):
                status = dict(part.headers)[b":status"].decode()
            else:
                body += part.data
            ended = part.stream_ended
        return status, body.decode()


def pattern(length):
    return bytes(i % 251 for i in range(min(length, 251))) * (length // 251 + 1)


async def echo(client, length):
    word = pattern(length)[:length]
    reader, writer = await client.create_stream()
    writer.write(word)
    writer.write_eof()
    back = await reader.read()
    if back != word:
        raise SystemExit(f"{length} bytes sent, {len(back)} other bytes received")


async def datagram(client, length):
    word = pattern(length)[:length]
    client._quic.send_datagram_frame(word)
    client.transmit()
    back = await client.datagrams.get()
    if back != word:
        raise SystemExit(f"a datagram of {length} bytes sent, {len(back)} other bytes received")


def retries(logger):
    events = [event for trace in logger.to_dict()["traces"] for event in trace["events"]]
    received = [event for event in events if event["name"] == "transport:packet_received"]
    return sum(event["data"]["header"]["packet_type"] == "retry" for event in received)


async def run(options):
    logger = QuicLogger()
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN if options.h3 else [options.alpn],
        is_client=True,
        max_datagram_frame_size=65_535,
        quic_logger=logger,
        server_name=options.name,
        verify_mode=ssl.CERT_REQUIRED,
    )
    configuration.load_verify_locations(options.ca)
    connecting = connect(
        "127.0.0.1", options.port, configuration=configuration, create_protocol=Client
    )
    async with connecting as client:
        if options.h3:
            print(*await client.get(options.name, options.h3))
            client.close(error_code=ErrorCode.H3_NO_ERROR)
            return
        await asyncio.gather(*(echo(client, length) for length in STREAMS))
        print("streams", len(STREAMS))
        for length in DATAGRAMS:
            await datagram(client, length)
        print("datagrams", len(DATAGRAMS))
    print("retries", retries(logger))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--alpn", default="echo")
    parser.add_argument("--h3", metavar="PATH")
    options = parser.parse_args()
    asyncio.run(asyncio.wait_for(run(options), 40))


main()
