"""The OLTP side: the embedded PostgreSQL, what fills it, and what makes it ready for change data capture."""
