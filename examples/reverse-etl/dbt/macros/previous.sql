{#
  The rows of a table from the last build, before this build replaces the table: an SQL query with the columns of `now`.

  `ref()` would make dbt build the table first, and a comparison with the new table finds no changes. In the first build
  the table does not exist, so there are no rows. A column that the old table lacks is null in all rows.
#}
{% macro previous(name, now) %}
  {%- set old = adapter.get_relation(this.database, this.schema, name) -%}
  {%- set had = (adapter.get_columns_in_relation(old) if old else []) | map(attribute='name') | map('lower') | list -%}
  select
  {%- for column in adapter.get_columns_in_relation(now) %}
    {% if column.name | lower in had -%}
      cast({{ column.name }} as {{ column.data_type }}) as {{ column.name }}
    {%- else -%}
      cast(null as {{ column.data_type }}) as {{ column.name }}
    {%- endif -%}
    {{ ',' if not loop.last }}
  {%- endfor %}
  {% if old -%}
    from {{ old }}
  {%- else -%}
    from (select 1 as nothing) as no_table_yet where false
  {%- endif %}
{%- endmacro %}
