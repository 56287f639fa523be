{#- The Monday of a day's week. -#}
{% macro week_start(day) -%}
    {{ return(adapter.dispatch('week_start')(day)) }}
{%- endmacro %}

{% macro default__week_start(day) -%}
    date_trunc('week', {{ day }})
{%- endmacro %}

{#- By the ISO weekday: where date_trunc begins a week is a parameter of the account there (WEEK_START). -#}
{% macro snowflake__week_start(day) -%}
    dateadd(day, 1 - dayofweekiso({{ day }}), {{ day }})
{%- endmacro %}
