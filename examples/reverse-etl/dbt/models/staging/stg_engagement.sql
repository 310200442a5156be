-- One row per user with at least one action: the points for all actions, and the time of the last action.
select
    lower(trim(tracks.user_id)) as user_id,
    -- DuckDB's sum of integers is a HUGEINT, which few clients support.
    cast(sum(coalesce(event_points.points, 0)) as integer) as points,
    max(tracks.received_at) as last_seen_at
from {{ ref('tracks') }} as tracks
left join {{ ref('event_points') }} as event_points on event_points.event = tracks.event
where tracks.user_id is not null
group by 1
