"""Work that comes by Redis Streams: a sidecar without any hub.

`orders` says what a request means, `effort` makes its attempts, `worker` reads and answers, `program` wires.
"""
