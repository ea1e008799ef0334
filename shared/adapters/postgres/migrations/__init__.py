"""Alembic's scripts. A released one is never edited: write the next."""
