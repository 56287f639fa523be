{#- Fails for every row of which the expression is not true; a null is not true. -#}
{% test expression_is_true(model, expression, column_name=None) %}
    select *
    from {{ model }}
    where not coalesce({{ column_name or '' }} {{ expression }}, false)
{% endtest %}
