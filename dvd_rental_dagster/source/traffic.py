"""Live traffic: the ordinary business of a DVD rental, so that there are changes to capture."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, LiteralString

from psycopg import Connection, sql

from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.source.generator.words import GIVEN_NAMES, SURNAME_ENDINGS, SURNAME_STEMS

_LARGEST_SMALLINT = 32_767  # customer_id and address_id are smallint where they are referred to

_PRICES = ("0.99", "1.99", "2.99", "3.99", "4.99", "5.99")
_ONE = sql.SQL(" limit 1 for update skip locked")
_RECENT = 25  # rows at most between the newest and the one that is chosen


def live_traffic(
    url: str, *, seed: int, transactions: int, rate: float | None = None, progress: Progress = silent
) -> dict[str, int]:
    """Do business in a DVD Rental database, and return how many transactions of each kind were committed.

    The same seed on the same rows does the same, unless others write too. Business goes on after the newest date in the
    database, not today. Where a kind has nothing to do, as a return when nothing is out, a film is rented instead.

    Args:
        url: the database, and a role that may write in it.
        seed: any whole number.
        transactions: how many to commit.
        rate: transactions a second; as many as possible where it is None.
        progress: hears of each transaction.

    Raises:
        SourceUnreachableError: nobody answers at ``url``, or refuses.
        SourceError: not one copy is in stock, or nobody to rent it to.
    """
    committed = Counter(dict.fromkeys(_KINDS, 0))
    with connect(url) as connection:
        connection.execute("set search_path = public")
        business = _Business(connection, Random(seed))  # noqa: S311  # no secret depends on it
        began = time.monotonic()
        for number in range(transactions):
            if rate is not None:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            committed[business.transact()] += 1
            progress("transactions", number + 1, transactions)
    return dict(committed)


class _Business:
    """The kinds of transactions; each looks for rows from a random key on, and returns whether it found any."""

    def __init__(self, connection: Connection[Any], random: Random) -> None:
        self._connection = connection
        self._random = random
        self._now = self._value(
            """
            select greatest(
                (select max(rental_date) from rental),
                (select max(return_date) from rental),
                (select max(payment_date) from payment),
                timestamp '2024-01-01 09:00'
            )
            """
        )

    def transact(self) -> str:
        """Commit one transaction; its kind."""
        (kind,) = self._random.choices(list(_KINDS), [share for share, _ in _KINDS.values()])
        self._now += timedelta(seconds=self._random.randint(1, 240))
        with self._connection.transaction():
            if _KINDS[kind][1](self):
                return kind
        with self._connection.transaction():
            if self.rent():
                return "rent"
        raise SourceError(
            "Nothing can be rented: every copy is out, or no customer is active. Fill the source with "
            "dvd-rental source generate."
        )

    def rent(self) -> bool:
        return self._write(
            """
            insert into rental (rental_date, inventory_id, customer_id, staff_id)
            select %(now)s, inventory.inventory_id, customer.customer_id, staff.staff_id
            from inventory, customer, staff
            where inventory.inventory_id = %(copy)s
              and customer.customer_id = %(customer)s
              and staff.staff_id = %(staff)s
            """,
            copy=self._find("inventory", "inventory_in_stock(inventory.inventory_id)"),
            customer=self._find("customer", "customer.active = 1"),
            staff=self._find("staff", "staff.active"),
        )

    def take_back(self) -> bool:
        return self._write(
            "update rental set return_date = %(now)s where rental_id = %(rental)s",
            rental=self._find_recent("rental", "rental.return_date is null"),
        )

    def pay(self) -> bool:
        """Pay the film's rate and a dollar for each day begun too late, up to what the film costs."""
        return self._write(
            """
            insert into payment (customer_id, staff_id, rental_id, amount, payment_date)
            select
                rental.customer_id,
                rental.staff_id,
                rental.rental_id,
                film.rental_rate + least(
                    film.replacement_cost,
                    greatest(
                        0,
                        ceil(extract(epoch from rental.return_date - rental.rental_date) / 86400) - film.rental_duration
                    )
                ),
                %(now)s
            from rental
            join inventory on inventory.inventory_id = rental.inventory_id
            join film on film.film_id = inventory.film_id
            where rental.rental_id = %(rental)s
            """,
            rental=self._find_recent(
                "rental",
                "rental.return_date is not null"
                " and (select payment_id from payment where payment.rental_id = rental.rental_id limit 1) is null",
            ),
        )

    def correct_payment(self) -> bool:
        return self._write(
            "update payment set amount = greatest(0, amount + %(difference)s) where payment_id = %(payment)s",
            payment=self._find_recent("payment", "payment.amount < 900"),
            difference=self._random.choice((-1, 1)),
        )

    def delete_rental(self) -> bool:
        rental = self._find_recent("rental", "true")
        self._write("delete from payment where rental_id = %(rental)s", rental=rental)
        return self._write("delete from rental where rental_id = %(rental)s", rental=rental)

    def add_customer(self) -> bool:
        """With an address of his own, while its key still fits where it is referred to."""
        return self._write(
            """
            with new_address as (
                insert into address (address, address2, district, city_id, postal_code, phone)
                select %(street)s, '', '', %(city)s, %(postal_code)s, ''
                where (select max(address_id) from address) < %(largest)s
                returning address_id
            )
            insert into customer (store_id, first_name, last_name, email, address_id, create_date, active)
            select %(store)s, %(first)s, %(last)s, %(email)s, address_id, %(now)s::date, 1
            from new_address
            """,
            **self._new_street(),
            store=self._find("store", "true"),
            first=(first := self._random.choice(GIVEN_NAMES)),
            last=(last := self._random.choice(SURNAME_STEMS) + self._random.choice(SURNAME_ENDINGS)),
            email=f"{first}.{last}@customers.example.org".lower(),
            largest=_LARGEST_SMALLINT,
        )

    def change_price(self) -> bool:
        return self._write(
            "update film set rental_rate = %(price)s where film_id = %(film)s",
            film=self._find("film", "true"),
            price=self._random.choice(_PRICES),
        )

    def move(self) -> bool:
        return self._write(
            """
            update address
            set address = %(street)s, city_id = %(city)s, postal_code = %(postal_code)s
            from customer
            where customer.address_id = address.address_id
              and customer.customer_id = %(customer)s
            """,
            **self._new_street(),
            customer=self._find("customer", "true"),
        )

    def _new_street(self) -> dict[str, Any]:
        return {
            "street": f"{self._random.randint(1, 1_900)} {self._random.choice(SURNAME_STEMS)} Street",
            "city": self._find("city", "true"),
            "postal_code": str(self._random.randint(10_000, 99_999)),
        }

    def _find(self, table: LiteralString, condition: LiteralString) -> int | None:
        """The key of the first row from a random key on, and else from the smallest, that nobody else is changing."""
        query = _query("select {key} from {table} where {key} >= %s and {condition} order by {key}", table, condition)
        largest = self._value(_query("select coalesce(max({key}), 0) from {table}", table))
        starts = (self._random.randint(0, largest), 0)
        return next((key for start in starts if (key := self._value(query + _ONE, start)) is not None), None)

    def _find_recent(self, table: LiteralString, condition: LiteralString) -> int | None:
        """The key of one of the newest rows that nobody else is changing."""
        query = _query("select {key} from {table} where {condition} order by {key} desc offset %s", table, condition)
        offsets = (self._random.randint(0, _RECENT), 0)
        return next((key for offset in offsets if (key := self._value(query + _ONE, offset)) is not None), None)

    def _write(self, statement: LiteralString, **values: object) -> bool:
        """Whether the statement changed any row."""
        return self._connection.execute(statement, {"now": self._now, **values}).rowcount > 0

    def _value(self, query: LiteralString | sql.Composed, *parameters: object) -> Any:
        row = self._connection.execute(query, parameters).fetchone()
        return row and row[0]


def _query(text: LiteralString, table: LiteralString, condition: LiteralString = "true") -> sql.Composed:
    names = {"table": sql.Identifier(table), "key": sql.Identifier(f"{table}_id"), "condition": sql.SQL(condition)}
    return sql.SQL(text).format(**names)


# Kinds of transactions: how often each happens, of 100, and what it does.
_KINDS: Mapping[str, tuple[int, Callable[[_Business], bool]]] = {
    "rent": (34, _Business.rent),
    "return": (27, _Business.take_back),
    "pay": (25, _Business.pay),
    "correct payment": (4, _Business.correct_payment),
    "delete rental": (2, _Business.delete_rental),
    "new customer": (3, _Business.add_customer),
    "change price": (2, _Business.change_price),
    "move": (3, _Business.move),
}
