{#- Text without blanks around it; an empty one says nothing and becomes null. -#}
{% macro text(column) -%}
    nullif(trim(cast({{ column }} as varchar)), '')
{%- endmacro %}
