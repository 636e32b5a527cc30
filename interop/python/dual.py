"""One allocation with a relayed address of each family relays to an echo peer of each family.

The messages are built, read and verified by aioice's STUN codec; the exchange is written out here
because aioice has no dual allocations. Exit code 0 and a line "relayed 4 + 6" mean success.
"""

import argparse
import socket
import struct

from aioice import stun
from aioice.stun import Class, Message, Method
from aioice.turn import make_integrity_key

UDP = 17 << 24
IPV4 = 1 << 24
IPV6 = 2 << 24

# RFC 8656 sections 18.6 and 18.11: a family and three bytes of zero.
for code, name in [
    (0x0017, "REQUESTED-ADDRESS-FAMILY"),
    (0x8000, "ADDITIONAL-ADDRESS-FAMILY"),
]:
    entry = (code, name, stun.pack_unsigned, stun.unpack_unsigned)
    stun.ATTRIBUTES_BY_TYPE[code] = stun.ATTRIBUTES_BY_NAME[name] = entry


class Client:
    """A TURN client over one UDP socket; a wait for the server is five seconds at most."""

    def __init__(self, options):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", options.port))
        self.options = options
        self.credential = {}
        self.key = None

    def receive(self):
        datagram = self.socket.recv(2048)
        return stun.parse_message(datagram), datagram

    def request(self, method, **attributes):
        """The reply to a request, as a message and as bytes. Underscores in names are hyphens."""
        named = {name.replace("_", "-"): value for name, value in attributes.items()}
        message = Message(method, Class.REQUEST, attributes=named | self.credential)
        if self.key:
            message.add_message_integrity(self.key)
        self.socket.send(bytes(message))
        reply, datagram = self.receive()
        assert reply.transaction_id == message.transaction_id, reply
        if self.key:
            assert reply.check_message_integrity(self.key), reply
        return reply, datagram

    def succeed(self, method, **attributes):
        reply, datagram = self.request(method, **attributes)
        assert reply.message_class == Class.RESPONSE, reply
        return reply, datagram

    def allocate(self):
        challenge, _ = self.request(Method.ALLOCATE, REQUESTED_TRANSPORT=UDP)
        assert challenge.error_code == 401, challenge
        realm, nonce = challenge.attributes["REALM"], challenge.attributes["NONCE"]
        user, password = self.options.user, self.options.password
        self.credential = {"USERNAME": user, "REALM": realm, "NONCE": nonce}
        self.key = make_integrity_key(user, realm, password)
        reply, datagram = self.succeed(
            Method.ALLOCATE,
            REQUESTED_TRANSPORT=UDP,
            ADDITIONAL_ADDRESS_FAMILY=IPV6,
        )
        return relayed_addresses(reply, datagram)

    def echo(self, peer, data):
        """Sends `data` to `peer` and asserts that it comes back from there."""
        indication = Message(
            Method.SEND,
            Class.INDICATION,
            attributes={"XOR-PEER-ADDRESS": peer, "DATA": data},
        )
        self.socket.send(bytes(indication))
        answer, _ = self.receive()
        assert (answer.message_method, answer.message_class) == (
            Method.DATA,
            Class.INDICATION,
        ), answer
        assert answer.attributes["XOR-PEER-ADDRESS"] == peer, answer
        assert answer.attributes["DATA"] == data, answer


def relayed_addresses(reply, datagram):
    """Each XOR-RELAYED-ADDRESS of a reply; the codec keeps only the last one."""
    found, at = [], stun.HEADER_LENGTH
    while at < len(datagram):
        code, length = struct.unpack_from("!HH", datagram, at)
        value = datagram[at + 4 : at + 4 + length]
        if code == 0x0016:
            found.append(stun.unpack_xor_address(value, reply.transaction_id))
        at += 4 + length + stun.padding_length(length)
    return found


def run(options):
    client = Client(options)
    hosts = [host for host, _ in client.allocate()]
    assert hosts == ["127.0.0.1", "::1"], hosts

    peers = [(host, options.peer) for host in hosts]
    for peer in peers:
        client.succeed(Method.CREATE_PERMISSION, XOR_PEER_ADDRESS=peer)
        client.echo(peer, b"to " + peer[0].encode())

    # One family can be given up without the other (RFC 8656 section 8.2).
    client.succeed(Method.REFRESH, LIFETIME=0, REQUESTED_ADDRESS_FAMILY=IPV6)
    gone, _ = client.request(Method.REFRESH, REQUESTED_ADDRESS_FAMILY=IPV6)
    assert gone.error_code == 443, gone
    client.echo(peers[0], b"still there")
    client.succeed(Method.REFRESH, LIFETIME=0)
    print("relayed 4 + 6")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--peer", type=int, required=True, help="the echo peer's port")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
