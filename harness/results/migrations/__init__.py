"""Alembic migrations of the results store; they ship with the package and run when a store is opened."""
