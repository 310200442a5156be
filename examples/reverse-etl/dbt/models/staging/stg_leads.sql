-- One row per e-mail address. Sales has two leads for some: the one that was touched last counts, as two rows here
-- would be two rows per user everywhere after it.
with leads as (
    select
        lower(trim(email)) as email,
        status,
        rating,
        employees,
        converted_account_id,
        row_number() over (partition by lower(trim(email)) order by last_modified_at desc, id desc) as newest
    from {{ ref('salesforce_leads') }}
    where email is not null
)

select email, status, rating, employees, converted_account_id
from leads
where newest = 1
