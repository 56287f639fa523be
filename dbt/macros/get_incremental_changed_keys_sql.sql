{#-
    The incremental strategy `changed_keys`. The model gives one row for every changed key; where the row is gone at the
    source, all but the key is null and `synced_at` is null. Those keys leave the table, the others are replaced.
-#}
{% macro get_incremental_changed_keys_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {%- set changes = arg_dict["temp_relation"] -%}
    {%- set key = arg_dict["unique_key"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="name") | join(", ") -%}

    delete from {{ target }} where {{ key }} in (select {{ key }} from {{ changes }});

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ changes }} where synced_at is not null;
{% endmacro %}
