"""The questions that the reports answer, asked of what was built."""

from dataclasses import dataclass

from dvd_rental_dagster.console import Format, out, print_rows
from dvd_rental_dagster.reading import read
from dvd_rental_dagster.settings import Settings


@dataclass(frozen=True)
class Question:
    """A question in plain words, and the query that answers it."""

    words: str
    query: str


QUESTIONS: tuple[Question, ...] = (
    Question(
        "How does revenue develop?",
        """
        select month_start as month, payments, revenue, revenue_3_month_average, revenue_change
        from reports.rpt_revenue_monthly order by month_start desc limit 6
        """,
    ),
    Question(
        "Which countries bring the most?",
        """
        select country_name as country, customers, payments, revenue, revenue_share as share
        from reports.rpt_sales_by_country order by revenue_rank limit 5
        """,
    ),
    Question(
        "What does each store bring, by each way of counting?",
        """
        select
            store_name as store,
            revenue_of_inventory as of_its_inventory,
            revenue_taken_by_staff as taken_by_its_staff,
            revenue_of_home_customers as of_its_customers
        from reports.rpt_sales_by_store order by store_id
        """,
    ),
    Question(
        "Who are our customers, and how do they behave?",
        """
        select
            segment, customers, revenue, revenue_share as share, revenue_per_customer as per_customer,
            average_recency_days as days_since, favourite_category as favourite
        from reports.rpt_segment_behaviour order by revenue desc
        """,
    ),
    Question(
        "Which films are rented most?",
        """
        select title, category_name as category, rentals, copies, revenue
        from reports.rpt_popular_films order by rental_rank, title limit 5
        """,
    ),
    Question(
        "Which categories are rented most?",
        """
        select category_name as category, films, rentals, revenue
        from reports.rpt_popular_categories order by rental_rank limit 5
        """,
    ),
    Question(
        "Of which films do we need more copies?",
        """
        select title, store_id as store, copies, copies_available as in_store, rentals_90_days, advice
        from reports.rpt_inventory_demand
        order by rentals_90_days_per_copy desc, rentals_90_days desc, title, store_id limit 5
        """,
    ),
    Question(
        "How often do rentals come back late?",
        """
        select member as store, rentals, late_rentals, missing_rentals, late_share, average_hours_late
        from reports.rpt_late_return_rates where dimension = 'store' order by member
        """,
    ),
)


def print_answers(settings: Settings) -> None:
    """Ask every question and print the answers as tables.

    Raises:
        WarehouseError: nothing is published yet.
    """
    for question in QUESTIONS:
        answer = read(settings, question.query)
        print_rows(answer.columns, answer.rows, Format.TABLE, title=question.words)
        out.print()
    out.print(
        "What next:\n"
        "  make ui                                  the graph, its runs and checks in Dagster's UI\n"
        '  .venv/bin/dvd-rental query "select …"    ask raw, history, staging, marts or reports\n'
        "  .venv/bin/dvd-rental source url          change something at the source, then dvd-rental run\n"
        "  .venv/bin/dvd-rental --help              everything else",
        markup=False,
        soft_wrap=True,
    )
