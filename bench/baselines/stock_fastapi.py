"""What one writes first: FastAPI, a pydantic model, and `send_and_wait` for each event of the request.

Run by uvicorn with the settings of `povod ingest`. `BENCH_KAFKA` names the broker, `BENCH_TOPIC` the topic.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Item(BaseModel):
    """A line of the cart."""

    sku: str
    name: str
    category: str
    price: float
    quantity: int


class Cart(BaseModel):
    """The event's data."""

    cart_id: str
    session_id: str
    currency: str
    total: float
    items: list[Item]
    page: str
    platform: str
    campaign: str


class PostedEvent(BaseModel):
    """An event as clients post it."""

    id: str
    type: str
    customer: str
    time: datetime
    data: Cart


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """Keep one producer for the life of the application."""
    async with AIOKafkaProducer(bootstrap_servers=os.environ["BENCH_KAFKA"], acks="all") as producer:
        application.state.producer = producer
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/events")
async def post_events(events: list[PostedEvent], request: Request) -> dict[str, Any]:
    """Publish each event and wait for its acknowledgement."""
    producer: AIOKafkaProducer = request.app.state.producer
    for event in events:
        await producer.send_and_wait(os.environ["BENCH_TOPIC"], event.model_dump_json().encode(), key=event.customer.encode())
    return {"success": True, "accepted": len(events)}
