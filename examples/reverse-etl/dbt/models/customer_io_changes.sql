{{ config(materialized='view') }}

-- New and old truth from dbt's snapshot, which survives any number of builds and also has the deleted users.
{% set columns = adapter.get_columns_in_relation(ref('customer_io_data_prep')) | map(attribute='name') | reject('equalto', 'user_id') | list %}

with versions as (
    select
        history.*,
        row_number() over (partition by user_id order by dbt_valid_from, dbt_is_deleted) as version
    from {{ ref('customer_io_history') }} as history
)

select
    versions.dbt_scd_id as change_id,
    versions.user_id,
    versions.sfdc_id,
    versions.dbt_valid_from as changed_at,
    case
        when versions.dbt_is_deleted = 'True' then 'gone'
        when earlier.user_id is null then 'new'
        else 'changed'
    end as change,
    case when versions.dbt_is_deleted = 'False' then {{ pairs(columns, 'versions') }} end as new_truth,
    case when earlier.user_id is not null then {{ pairs(columns, 'earlier') }} end as old_truth
from versions
left join versions as earlier
    on earlier.user_id = versions.user_id and earlier.version = versions.version - 1
