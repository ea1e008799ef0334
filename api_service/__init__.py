"""The API: turns requests into moves and streams moves back out. It imports shared only."""
