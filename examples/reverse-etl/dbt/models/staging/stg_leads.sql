-- One row per e-mail address. Some addresses have two leads: the last modified one counts, because two rows here would
-- give two rows per user in all later models.
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
