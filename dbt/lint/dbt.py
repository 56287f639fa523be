"""Stand-ins for dbt's cross-database macros, so that sqlfluff can read the models without a warehouse."""


def dateadd(datepart: str, interval: object, column: str) -> str:
    """A date later by an interval."""
    return f"{column} + {interval} * interval '1 {datepart}'"


def datediff(first: str, second: str, datepart: str) -> str:
    """The number of boundaries between two dates."""
    return f"date_diff('{datepart}', {first}, {second})"
