"""The worker: turns queue messages into moves. It imports shared only."""
