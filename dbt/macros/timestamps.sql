{#- An instant. -#}
{% macro timestamptz() -%}
    {{ return(adapter.dispatch('timestamptz')()) }}
{%- endmacro %}

{% macro default__timestamptz() -%}
    timestamptz
{%- endmacro %}

{% macro snowflake__timestamptz() -%}
    timestamp_tz
{%- endmacro %}

{#- A time on the clock, without a zone; what a bare timestamp is on Snowflake, a parameter of the account decides. -#}
{% macro timestamp_ntz() -%}
    {{ return(adapter.dispatch('timestamp_ntz')()) }}
{%- endmacro %}

{% macro default__timestamp_ntz() -%}
    timestamp
{%- endmacro %}

{% macro snowflake__timestamp_ntz() -%}
    timestamp_ntz
{%- endmacro %}
