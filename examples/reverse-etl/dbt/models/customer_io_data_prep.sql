{{ config(materialized='view') }}

-- The current data of the users for the customer's tools. The columns are named one by one: with `select *` over a
-- join, every column that a source adds would be sent to the destination.
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
    -- The id of the object that the transformation makes from the row. With a company's domain as id, the users of the
    -- company would overwrite each other.
    user_id as group_id,
    email,
    first_name,
    last_name,
    -- `rebuild_object` leaves out empty pairs, so the destination keeps a phone number that is removed here.
    phone,
    -- Columns whose removal must reach the destination have an explicit value for "nothing".
    coalesce(plan, 'none') as plan,
    case when unsubscribed then 'yes' else 'no' end as unsubscribed,
    email_domain,
    case when is_company then 'yes' else 'no' end as is_company,
    -- The user's rank in the company. `dense_rank` would give two users with the same points the same rank; here the id
    -- decides.
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
    -- A lead has an account after it is converted.
    converted_account_id as sfdc_id
from users
