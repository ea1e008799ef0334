"""The embedded stack: everything that `docrelay dev` starts on one machine, without Docker or an account."""
