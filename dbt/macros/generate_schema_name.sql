{#-
    Schemas are called what the project calls them: staging, marts, reports. A Snowflake database is shared: there a
    profile whose schema is not PUBLIC is a developer's, and the schemas that it builds begin with that name.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ return(adapter.dispatch('project_schema')(custom_schema_name or target.schema) | trim) }}
{%- endmacro %}

{% macro default__project_schema(schema_name) -%}
    {{ return(schema_name) }}
{%- endmacro %}

{% macro snowflake__project_schema(schema_name) -%}
    {%- if target.schema | upper in ('PUBLIC', schema_name | upper) -%}
        {{ return(schema_name) }}
    {%- endif -%}
    {{ return(target.schema ~ '_' ~ schema_name) }}
{%- endmacro %}
