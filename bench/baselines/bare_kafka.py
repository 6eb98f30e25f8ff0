"""`aiokafka.send` and nothing else: the same records in hundreds, gathered; as many hundreds under way as the HTTP client has connections.

`python -m bench.baselines.bare_kafka BOOTSTRAP TOPIC CONNECTIONS SECONDS` prints the rate as JSON.
"""

import asyncio
import json
import sys
import time

import uvloop
from aiokafka import AIOKafkaProducer

from bench.samples import BATCH, Sample, samples


async def _sender(producer: AIOKafkaProducer, topic: str, batch: list[Sample], ends_at: float) -> int:
    sent = 0
    while time.monotonic() < ends_at:
        acknowledgements = [await producer.send(topic, sample.value, key=sample.key) for sample in batch]
        await asyncio.gather(*acknowledgements)
        sent += len(batch)
    return sent


async def run(bootstrap: str, topic: str, connections: int, seconds: float) -> dict[str, float]:
    """Send for that long; return records acknowledged, and the time it took."""
    batches = [samples(BATCH, n * BATCH) for n in range(connections)]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await _sender(producer, topic, batches[0], time.monotonic() + 0.5)
        began = time.monotonic()
        counts = await asyncio.gather(*(_sender(producer, topic, batch, began + seconds) for batch in batches))
        return {"records": sum(counts), "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
