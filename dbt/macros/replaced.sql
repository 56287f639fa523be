{#-
    Tables and views on DuckDB. dbt-duckdb builds beside what is there and then renames both, in some ten statements; DuckDB
    replaces in one transaction, and nobody reads this file while it is built.
-#}
{% macro replaced(definition) %}
    {%- set before = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement("main") %}
        {%- if before is not none %} drop {{ before.type }} if exists {{ before }}; {% endif -%}
        {{ definition }}
    {% endcall %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
{% endmacro %}

{% materialization table, adapter="duckdb" %}
    {%- set target = this.incorporate(type="table") -%}
    {{ replaced(create_table_as(False, target, compiled_code)) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{% materialization view, adapter="duckdb" %}
    {%- set target = this.incorporate(type="view") -%}
    {{ replaced(create_view_as(target, compiled_code)) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}
