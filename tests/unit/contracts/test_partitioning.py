"""Where a customer lives."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as kafkas_murmur2
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.partitioning import BUCKETS, bucket_of, bucket_of_key, murmur2, partition_of, partition_of_key

JAVA = [  # org.apache.kafka.common.utils.UtilsTest.testMurmur2, as signed 32-bit numbers
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("data", "signed"), JAVA)
def test_murmur2_is_that_of_the_java_client(data: bytes, signed: int) -> None:
    """Our hash gives the values that Kafka's own test gives."""
    assert murmur2(data) == signed % 2**32


@given(st.binary(max_size=64))
def test_murmur2_is_that_of_aiokafka(data: bytes) -> None:
    """Our hash agrees with the client library's on any bytes."""
    assert murmur2(data) == kafkas_murmur2(data)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from([2**n for n in range(11)]))
def test_the_default_partitioner_agrees(customer: str, partitions: int) -> None:
    """A producer that knows nothing of us puts a customer's records where we look for them."""
    numbers = list(range(partitions))
    theirs = DefaultPartitioner()(customer.encode(), numbers, numbers)
    assert partition_of(customer, partitions) == partition_of_key(customer.encode(), partitions) == theirs


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_bucket_is_one_of_1024_and_its_key_says_the_same(customer: str) -> None:
    """Text and its bytes have one bucket, from 0 to 1023."""
    assert 0 <= bucket_of(customer) < BUCKETS == 1024
    assert bucket_of(customer) == bucket_of_key(customer.encode())
