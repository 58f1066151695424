"""Servers of databases of the tests' own: without the agent unless a launcher is given."""
