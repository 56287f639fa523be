{#-
    Incremental facts are rebuilt for the keys that changed: those with a version in history since the fact's watermark,
    and those that hang on a changed row of another stream. The watermark is the instant of the last sync that the fact
    shows; every row carries the latest of its own sources' instants.
-#}
{% macro since_watermark() -%}
    where cast(_airbyte_extracted_at as {{ timestamptz() }}) > (
        select coalesce(max(synced_at), cast('1970-01-01 00:00:00+00' as {{ timestamptz() }})) from {{ this }}
    )
{%- endmacro %}
