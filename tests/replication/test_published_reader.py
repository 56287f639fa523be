"""Who reads what is published sees whole states only, while syncs and publications go on."""

import subprocess
import sys
from pathlib import Path

from replica import Replica

from dvd_rental_dagster.publication import publish, published_warehouse
from dvd_rental_dagster.settings import Settings

STATES = 6
# Reads in a loop until its input closes, and prints each state that it sees for the first time.
_READS = """
import sys, threading
import duckdb

ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
seen = None
while True:
    last = ended.is_set()
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        state = connection.execute(
            "select (select count(*) from raw.item), (select count(*) from raw.place),"
            " (select count(*) from history.item), (select max(sync_id) from ledger.position)"
        ).fetchone()
    if state != seen:
        print(*state, flush=True)
    seen = state
    if last:
        break
"""


def test_a_reader_sees_every_published_state_whole_and_in_order(replica: Replica, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    publish(settings)
    with subprocess.Popen(
        [sys.executable, "-c", _READS, published_warehouse(settings)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdin is not None
        assert reader.stdout is not None
        first = reader.stdout.readline()
        for number in range(STATES):
            replica.transaction(
                f"insert into item select i, 'x', 1, null from generate_series({1000 * (number + 1)},"
                f" {1000 * (number + 1) + 99}) as i",
                f"insert into place select i, {number}, 'x' from generate_series(1000, 1099) as i",
            )
            replica.sync()
            publish(settings)
        reader.stdin.close()
        seen = [tuple(map(int, line.split())) for line in (first, *reader.stdout)]
    assert reader.returncode == 0
    published = [(20 + 100 * n, 5 + 100 * n, 20 + 100 * n, 1 + n) for n in range(STATES + 1)]
    assert seen == [state for state in published if state in seen]
    assert (seen[0], seen[-1]) == (published[0], published[-1])


def test_what_a_killed_publication_left_is_gone_after_the_next(replica: Replica, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    settings.published_path.mkdir()
    (settings.published_path / "warehouse.duckdb.partial").write_text("half of a copy")
    publish(settings)
    assert [path.name for path in settings.published_path.iterdir()] == ["warehouse.duckdb"]
    assert published_warehouse(settings).read_bytes() == replica.warehouse.read_bytes()
