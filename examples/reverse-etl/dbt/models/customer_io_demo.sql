-- The current users; `sluicegate sync` reads this table. It is refreshed last, because `customer_io_updates` compares
-- with its old rows. dbt can't see that dependency (there is no `ref`), so this line declares it.
-- depends_on: {{ ref('customer_io_updates') }}
select * from {{ ref('customer_io_data_prep') }}
