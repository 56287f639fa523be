{#-
    The incremental strategy `changed_keys`. The model gives one row for every changed key; where the row is gone at the
    source, all but the key is null and `synced_at` is null. Those keys leave the table, the others are replaced.
-#}
{% macro get_incremental_changed_keys_sql(arg_dict) %}
    {{ return(adapter.dispatch('get_incremental_changed_keys_sql')(arg_dict)) }}
{% endmacro %}

{% macro default__get_incremental_changed_keys_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {%- set changes = arg_dict["temp_relation"] -%}
    {%- set key = arg_dict["unique_key"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="name") | join(", ") -%}

    delete from {{ target }} where {{ key }} in (select {{ key }} from {{ changes }});

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ changes }} where synced_at is not null;
{% endmacro %}

{#-
    Snowflake commits every statement by itself, so the change is one statement. It reads the model through a view: a
    table of the changes would have the model's contract, by which only the key could be kept of a row that is gone.
-#}
{% macro snowflake__get_incremental_changed_keys_sql(arg_dict) %}
    {%- set key = arg_dict["unique_key"] -%}
    {%- set columns = arg_dict["dest_columns"] | map(attribute="name") | list -%}

    merge into {{ arg_dict["target_relation"] }} as kept
    using {{ arg_dict["temp_relation"] }} as changed
    on kept.{{ key }} = changed.{{ key }}
    when matched and changed.synced_at is null then delete
    when matched then update set
        {% for column in columns -%}
            {{ column }} = changed.{{ column }}{{ ", " if not loop.last }}
        {%- endfor %}
    when not matched and changed.synced_at is not null then
        insert ({{ columns | join(", ") }})
        values (changed.{{ columns | join(", changed.") }})
{% endmacro %}
