-- One row per user: the data of the last identify with this user id.
--
-- Ids are converted to lower case once, here, for all joins. If a key is lower case in one place and not in another, a
-- join finds no rows, without an error.
with identifies as (
    select
        lower(trim(user_id)) as user_id,
        lower(trim(email)) as email,
        first_name,
        last_name,
        phone,
        plan,
        unsubscribed,
        row_number() over (partition by lower(trim(user_id)) order by received_at desc, id desc) as newest
    from {{ ref('identifies') }}
    where user_id is not null
)

select
    identifies.user_id,
    identifies.email,
    identifies.first_name,
    identifies.last_name,
    identifies.phone,
    identifies.plan,
    identifies.unsubscribed,
    split_part(identifies.email, '@', 2) as email_domain,
    -- A list of whole domains: `like '%yahoo'` misses yahoo.com, and `like '%yahoo%'` also matches notyahoo.example.
    free_mail_domains.domain is null as is_company
from identifies
left join {{ ref('free_mail_domains') }} as free_mail_domains
    on free_mail_domains.domain = split_part(identifies.email, '@', 2)
where identifies.newest = 1
