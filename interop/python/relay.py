"""Two aioice agents that may use only relayed candidates exchange datagrams through a TURN server.

aioice is an ICE and TURN client in pure Python that shares no code with coturn. Exit code 0 and a
line "exchanged N" mean that each agent got its N datagrams from the other, in order and unchanged.
"""

import argparse
import asyncio

from aioice import Connection, TransportPolicy

# Each way. Lengths that are and are not multiples of 4, up to a common path MTU.
LENGTHS = [0, 1, 2, 3, 4, 5, 63, 64, 172, 500, 1199, 1200]


def agent(options, controlling):
    return Connection(
        ice_controlling=controlling,
        turn_server=(options.host, options.port),
        turn_username=options.user,
        turn_password=options.password,
        transport_policy=TransportPolicy.RELAY,
    )


async def introduce(agents):
    """Gathers, checks that there is nothing but relayed candidates, and signals them across."""
    for each in agents:
        await each.gather_candidates()
        types = {candidate.type for candidate in each.local_candidates}
        if types != {"relay"}:
            raise SystemExit(f"candidates of type relay expected, got {types or 'none'}")
    for one, other in [agents, agents[::-1]]:
        one.remote_username = other.local_username
        one.remote_password = other.local_password
        for candidate in other.local_candidates:
            await one.add_remote_candidate(candidate)
        await one.add_remote_candidate(None)


async def exchange(sender, receiver):
    for length in LENGTHS:
        message = bytes(i % 251 for i in range(length))
        await sender.send(message)
        received = await receiver.recv()
        if received != message:
            raise SystemExit(f"{length} bytes sent, {len(received)} other bytes received")


async def run(options):
    agents = [agent(options, True), agent(options, False)]
    try:
        await introduce(agents)
        await asyncio.gather(*(each.connect() for each in agents))
        await exchange(*agents)
        await exchange(*agents[::-1])
        print(f"exchanged {len(LENGTHS)}")
    finally:
        await asyncio.gather(*(each.close() for each in agents))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    asyncio.run(asyncio.wait_for(run(parser.parse_args()), timeout=40))


if __name__ == "__main__":
    main()
