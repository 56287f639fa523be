"""Snowflake as the warehouse: what an account needs before rows arrive, and the way into it."""
