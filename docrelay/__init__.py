"""The command line, the embedded stack and the client. The only package that may import both services."""
