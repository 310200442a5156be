{{ config(materialized='view') }}

-- The users as they should be in the customer's tools now. The columns are named one by one: `select *` over a join
-- sends each column that a source adds to the destination.
with users as (
    select
        users.user_id,
        users.email,
        users.first_name,
        users.last_name,
        users.phone,
        users.plan,
        users.unsubscribed,
        users.email_domain,
        users.is_company,
        coalesce(engagement.points, 0) as engagement,
        engagement.last_seen_at,
        leads.status as lead_status,
        leads.rating as lead_rating,
        leads.employees,
        leads.converted_account_id
    from {{ ref('stg_users') }} as users
    left join {{ ref('stg_engagement') }} as engagement on engagement.user_id = users.user_id
    left join {{ ref('stg_leads') }} as leads on leads.email = users.email
)

select
    user_id,
    -- The object that the transformation makes of the row. A company's domain here would make its users overwrite each
    -- other.
    user_id as group_id,
    email,
    first_name,
    last_name,
    -- An empty pair is left out by `rebuild_object`, so a phone number that is removed stays in the destination...
    phone,
    -- ...while what must be seen to end has a word for "nothing".
    coalesce(plan, 'none') as plan,
    case when unsubscribed then 'yes' else 'no' end as unsubscribed,
    email_domain,
    case when is_company then 'yes' else 'no' end as is_company,
    -- The user's place among those of the same company. `dense_rank` makes two of them first when their points are the
    -- same; here the id decides.
    case
        when is_company
            then cast(row_number() over (partition by email_domain order by engagement desc, user_id) as integer)
    end as domain_rank,
    engagement,
    -- At least 1: a score of 0 would be an empty pair.
    cast(
        greatest(
            1,
            least(
                100,
                engagement
                + case when is_company then 10 else 0 end
                + case lead_rating when 'Hot' then 40 when 'Warm' then 20 else 0 end
                + case when employees >= 50 then 15 else 0 end
            )
        ) as integer
    ) as lead_score,
    lead_status,
    employees,
    {{ iso_utc('last_seen_at') }} as last_seen_at,
    -- A lead has an account once it is converted.
    converted_account_id as sfdc_id
from users
