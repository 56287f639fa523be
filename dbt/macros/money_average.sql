{#-
    A total in money over a count, rounded half away from zero to the cent. Whole cents are divided, for a half is exact
    in a double only there.
-#}
{% macro money_average(total, count) -%}
    cast(round(cast({{ total }} * 100 as double precision) / nullif({{ count }}, 0)) / 100 as decimal(12, 2))
{%- endmacro %}
