import numpy as np
import pytest

from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.source.generator import Volume
from dvd_rental_dagster.source.generator.addresses import Addresses
from dvd_rental_dagster.source.generator.circulation import Circulation
from dvd_rental_dagster.source.generator.dice import Dice
from dvd_rental_dagster.source.generator.films import Films
from dvd_rental_dagster.source.generator.geography import Geography
from dvd_rental_dagster.source.generator.habits import Customers
from dvd_rental_dagster.source.generator.people import names
from dvd_rental_dagster.source.generator.rentals import Desk
from dvd_rental_dagster.source.generator.season import Season
from dvd_rental_dagster.source.generator.stock import Stock

SMALLINT = 32_767  # the type of every foreign key but those of rentals and copies


def test_every_key_fits_its_type_at_every_scale() -> None:
    for scale in range(1, 1001):
        rows = Volume(scale).rows
        assert (
            max(rows[name] for name in rows if name not in {"film_actor", "inventory", "payment", "rental"}) <= SMALLINT
        )


def test_rentals_payments_and_copies_are_multiples_of_the_real_counts_at_every_scale() -> None:
    for scale in range(1, 1001):
        rows = Volume(scale).rows
        assert (rows["rental"], rows["payment"], rows["inventory"]) == (16044 * scale, 14596 * scale, 4581 * scale)
        assert rows["customer"] == min(599 * scale, 32_000)


def test_no_table_shrinks_when_the_scale_grows() -> None:
    for scale in range(1, 1000):
        smaller, larger = Volume(scale).rows, Volume(scale + 1).rows
        assert all(smaller[name] <= larger[name] for name in smaller)


@pytest.mark.parametrize("scale", [0, 1001])
def test_a_scale_whose_keys_would_not_fit_is_refused(scale: int) -> None:
    with pytest.raises(SourceError, match=f"Scale {scale} cannot be generated: it must be from 1 to 1000"):
        Volume(scale)


@pytest.mark.parametrize("scale", [1, 3, 20])
@pytest.mark.parametrize("seed", [0, 7, 2**70])
def test_the_parts_add_up_at_every_seed(scale: int, seed: int) -> None:
    dice, volume = Dice(seed), Volume(scale)
    geography = Geography(dice)
    films = Films(dice, volume)
    stock = Stock(dice, volume, films)
    customers = Customers(dice, volume, geography, Addresses(dice, volume, geography))
    desk = Desk(dice, volume, films, stock, customers, Circulation(dice, volume, Season(dice), stock))

    assert len(stock.film) == volume.copies
    assert stock.turns.sum() == volume.rentals
    assert stock.turns.max() <= 40
    assert sum(1 for _ in films.actor_rows()) == len({row[:2] for row in films.actor_rows()}) == volume.castings
    assert sum(int(desk.rentals(block).open.sum()) for block in range(scale)) == volume.open_rentals
    assert sum(row[-1] == 0 for row in customers.rows()) == volume.inactive_customers
    assert sum(int((desk.payments(block).amount == 0).sum()) for block in range(scale)) == 24 * scale


def test_no_two_customers_share_a_name_at_the_largest_scale() -> None:
    people = names(Dice(1), "customer", Volume(1000).customers)
    assert len(set(people)) == len(people)
    assert max(len(f"{first}.{last}@customers.example.org") for first, last in people) <= 50


def test_no_two_films_share_a_title_at_the_largest_scale() -> None:
    titles = [row[1] for row in Films(Dice(1), Volume(1000)).rows()]
    assert len(set(titles)) == len(titles) == Volume(1000).films


def test_rolls_do_not_depend_on_the_portion_they_are_made_in() -> None:
    dice = Dice(5)
    assert dice.roll("subject", np.arange(100))[40:60].tolist() == dice.roll("subject", np.arange(40, 60)).tolist()


def test_rolls_of_two_subjects_or_seeds_have_nothing_in_common() -> None:
    indices = np.arange(10_000)
    rolls = [Dice(5).roll("one", indices), Dice(5).roll("two", indices), Dice(6).roll("one", indices)]
    assert len(np.unique(np.concatenate(rolls))) == 30_000


def test_rolls_are_even() -> None:
    counts = np.bincount(Dice(5).below("subject", np.arange(100_000), 10))
    assert counts.min() > 9_600
    assert counts.max() < 10_400
