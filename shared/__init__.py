"""The core: what crosses the bucket, the queue or the store. It imports neither service."""
