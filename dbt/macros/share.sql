{#- A part of a whole between 0 and 1, to four digits. -#}
{% macro share(part, whole) -%}
    cast(round(cast({{ part }} as double precision) / nullif(cast({{ whole }} as double precision), 0), 4) as decimal(7, 4))
{%- endmacro %}
