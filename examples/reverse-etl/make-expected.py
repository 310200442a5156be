"""Creates expected/: the events that each destination must have received after each day.

    python3 make-expected.py

It is plain Python and reads only the seeds. It uses neither dbt nor a database nor sluicegate.
"""

import csv
import datetime
import json
from pathlib import Path

HERE = Path(__file__).parent
SEEDS = HERE / "dbt" / "seeds"


def table(path):
    """Returns the rows of a seed. An empty field is None."""
    with open(SEEDS / path, encoding="utf-8", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def lowered(text):
    return text.strip().lower() if text else None


def newest(rows, key, time):
    """Returns the newest row of each key, by time and then by id."""
    found = {}
    for row in sorted(rows, key=lambda row: (row[time], row["id"])):
        if row[key] is not None:
            found[lowered(row[key])] = row
    return found


def iso(timestamp):
    return timestamp.replace(" ", "T") + "Z" if timestamp else None


def users(day):
    """Returns the rows of customer_io_demo on this day."""
    points = {row["event"]: int(row["points"]) for row in table("fixed/event_points.csv")}
    free = {row["domain"] for row in table("fixed/free_mail_domains.csv")}
    identifies = newest(table(f"{day}/identifies.csv"), "user_id", "received_at")
    leads = newest(table(f"{day}/salesforce_leads.csv"), "email", "last_modified_at")
    engagement, seen = {}, {}
    for track in table(f"{day}/tracks.csv"):
        user = lowered(track["user_id"])
        engagement[user] = engagement.get(user, 0) + points.get(track["event"], 0)
        seen[user] = max(seen.get(user, ""), track["received_at"])

    rows = []
    for user, said in sorted(identifies.items()):
        email = lowered(said["email"])
        domain = email.split("@")[1]
        company = domain not in free
        lead = leads.get(email, {})
        employees = int(lead["employees"]) if lead.get("employees") else None
        score = engagement.get(user, 0)
        score += 10 if company else 0
        score += {"Hot": 40, "Warm": 20}.get(lead.get("rating"), 0)
        score += 15 if employees and employees >= 50 else 0
        rows.append({
            "user_id": user,
            "group_id": user,
            "email": email,
            "first_name": said["first_name"],
            "last_name": said["last_name"],
            "phone": said["phone"],
            "plan": said["plan"] or "none",
            "unsubscribed": "yes" if said["unsubscribed"] == "true" else "no",
            "email_domain": domain,
            "is_company": "yes" if company else "no",
            "domain_rank": None,
            "engagement": engagement.get(user, 0),
            "lead_score": max(1, min(100, score)),
            "lead_status": lead.get("status"),
            "employees": employees,
            "last_seen_at": iso(seen.get(user)),
            "sfdc_id": lead.get("converted_account_id"),
        })
    for domain in {row["email_domain"] for row in rows if row["is_company"] == "yes"}:
        colleagues = [row for row in rows if row["email_domain"] == domain]
        colleagues.sort(key=lambda row: (-row["engagement"], row["user_id"]))
        for place, row in enumerate(colleagues, 1):
            row["domain_rank"] = place
    return rows


def truth(row):
    """Returns the fields of a row that its pairs contain: all except the key and empty values (None, '' and 0)."""
    return {name: value for name, value in row.items() if name != "user_id" and value}


def changed(rows, before):
    """Yields the rows with a field that is new or different from the previous rows."""
    old = {row["user_id"]: truth(row) for row in before}
    for row in rows:
        said = old.get(row["user_id"], {})
        if any(name not in said or said[name] != value for name, value in truth(row).items()):
            yield row


def seconds(value):
    return int(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp())


def customerio(row):
    attributes = truth(row)
    if "last_seen_at" in attributes:
        attributes["last_seen_at"] = seconds(attributes["last_seen_at"])
    return {
        "type": "object",
        "action": "identify",
        "identifiers": {"object_type_id": "1", "object_id": row["group_id"]},
        "attributes": attributes,
        "cio_relationships": [{"identifiers": {"id": row["user_id"]}}],
    }


def salesforce(row):
    # `run` writes `*` instead of ids that differ in each run, and instead of the message id, which depends on the code.
    # The transformation removes the identify's message id; sync sets a new one, which is the same at each retry.
    run = {"job_id": "customer_io_demo", "job_run_id": "*", "task_run_id": "*", "batch_id": "*", "version": "*"}
    return {
        "messageId": "*",
        "type": "group",
        "channel": "sources",
        "recordId": row["user_id"],
        "userId": row["user_id"],
        "context": {"sources": run, "externalId": [{"type": "Salesforce-Account", "id": row["sfdc_id"]}]},
        "integrations": {"All": True, "Customer.io": True, "Salesforce": True},
        "traits": truth(row),
        "groupId": row["group_id"],
    }


def write(name, values):
    lines = [json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n" for value in values]
    (HERE / "expected" / name).write_text("".join(lines), encoding="utf-8")
    print(f"{name}: {len(lines)}")


def main():
    before = []
    for day in ("day1", "day2"):
        rows = users(day)
        going = list(changed(rows, before))
        write(f"{day}-customerio.jsonl", map(customerio, going))
        write(f"{day}-salesforce.jsonl", [salesforce(row) for row in going if row["sfdc_id"]])
        before = rows


if __name__ == "__main__":
    main()
