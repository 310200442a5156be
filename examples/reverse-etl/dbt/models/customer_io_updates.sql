-- The rows that are new or changed in this build, compared with `customer_io_demo`. For tools that send a whole table
-- and leave the comparison to the warehouse.
--
-- It has two limits: it never shows deleted users, and the next build replaces it, whether it was delivered or not.
-- `sluicegate sync` reads `customer_io_demo` and compares with the rows that the destination has acknowledged.
{% set columns = adapter.get_columns_in_relation(ref('customer_io_data_prep')) | map(attribute='name') | reject('equalto', 'user_id') | list %}

with now as (
    select * from {{ ref('customer_io_data_prep') }}
),

before as (
    {{ previous('customer_io_demo', ref('customer_io_data_prep')) }}
),

changed as (
    select * from now
    except
    select * from before
)

select
    changed.user_id,
    changed.sfdc_id,
    {{ pairs(columns, 'changed') }} as new_truth,
    case when before.user_id is not null then {{ pairs(columns, 'before') }} end as old_truth
from changed
left join before on before.user_id = changed.user_id
