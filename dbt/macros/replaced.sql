{#-
    Tables and views on DuckDB. dbt-duckdb builds beside what is there and then renames both, in some ten statements; DuckDB
    replaces in one transaction, and nobody reads this file while it is built.
-#}
{% macro replaced(target, definition) %}
    {%- set before = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks) }}
    {% call statement("main") %}
        {%- if before is not none %} drop {{ before.type }} if exists {{ before }}; {% endif -%}
        {{ definition }}
    {% endcall %}
    {% if target.is_table %}{% do create_indexes(target) %}{% endif %}
    {% do persist_docs(target, model) %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmacro %}

{% materialization table, adapter="duckdb" %}
    {%- set target = this.incorporate(type="table") -%}
    {{ return(replaced(target, create_table_as(False, target, compiled_code))) }}
{% endmaterialization %}

{% materialization view, adapter="duckdb" %}
    {%- set target = this.incorporate(type="view") -%}
    {{ return(replaced(target, create_view_as(target, compiled_code))) }}
{% endmaterialization %}
