-- The users as they are now, and what `sluicegate sync` reads. Refreshed last: `customer_io_updates` compares with the
-- rows that it has until then. dbt can't see that (no `ref` leads there), so this line says it.
-- depends_on: {{ ref('customer_io_updates') }}
select * from {{ ref('customer_io_data_prep') }}
