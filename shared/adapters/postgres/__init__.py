"""The Postgres store: plain SQL over psycopg, one statement a move."""
