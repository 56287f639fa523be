"""Log sequence numbers: the server writes them as two hexadecimal halves, the engine counts in bytes.

PostgreSQL documentation, 8.20 "pg_lsn Type".
"""


def parse_lsn(text: str) -> int:
    """Turn ``16/B374D848`` into its byte position in the write-ahead log."""
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


def format_lsn(lsn: int) -> str:
    """Turn a byte position into the server's notation, such as ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
