{# Syntax that differs between DuckDB and Postgres. For another warehouse, add its own `<adapter>__` macros. #}

{# A timestamp as RFC 3339 text in UTC: the same text in every warehouse. sync converts it to Unix seconds if needed. #}
{% macro iso_utc(timestamp) %}{{ return(adapter.dispatch('iso_utc')(timestamp)) }}{% endmacro %}
{% macro duckdb__iso_utc(timestamp) %}strftime({{ timestamp }}, '%Y-%m-%dT%H:%M:%SZ'){% endmacro %}
{% macro postgres__iso_utc(timestamp) %}to_char({{ timestamp }}, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'){% endmacro %}

{# A JSON array of these SQL expressions. #}
{% macro json_array(expressions) %}{{ return(adapter.dispatch('json_array')(expressions)) }}{% endmacro %}
{% macro duckdb__json_array(expressions) %}json_array({{ expressions | join(', ') }}){% endmacro %}
{% macro postgres__json_array(expressions) %}json_build_array({{ expressions | join(', ') }}){% endmacro %}

{# A row as JSON text of [column, value] pairs. #}
{% macro pairs(columns, alias) %}
  {%- set each = [] -%}
  {%- for column in columns -%}
    {%- do each.append(json_array(["'" ~ column ~ "'", alias ~ '.' ~ column])) -%}
  {%- endfor -%}
  cast({{ json_array(each) }} as varchar)
{%- endmacro %}
