//! Generates events for measurements, for users who have none: typical events of five kinds. The same kind, seed and
//! number give the same bytes on every machine.
//!
//! The kinds are those of `benches/compare/workloads.mjs`, written again because that script is JavaScript and this
//! program must not depend on a JavaScript runtime. The figures of both are similar, not equal.

use std::fmt::Write;

use crate::config::Choice;
use crate::random::Random;

/// The kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// A short identify, 0.5 KB: shows the cost per event, with little cost per byte.
    #[default]
    Small,
    /// A row of a reverse-ETL sync, 2 KB: its current and its earlier state, each as JSON text of pairs.
    Truths,
    /// An order of 40 products, 7 KB: shows the cost of bytes that the code does not read.
    Wide,
    /// Text outside Latin-1, 0.7 KB.
    Cjk,
    /// The wide events; one in ten has `context.traits.plan` `enterprise`. For code that drops the others.
    Filter,
}

impl Workload {
    const ALL: [Self; 5] = [Self::Small, Self::Truths, Self::Wide, Self::Cjk, Self::Filter];
}

impl Choice for Workload {
    const WORDS: &[&str] = &["small", "truths", "wide", "cjk", "filter"];

    fn from_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == text)
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::WORDS[*self as usize])
    }
}

/// An endless sequence of events of one kind.
pub struct Events {
    workload: Workload,
    random: Random,
    number: u64,
}

impl Events {
    /// Creates the sequence for this seed.
    pub fn new(workload: Workload, seed: u64) -> Self {
        Self { workload, random: Random::new(seed), number: 0 }
    }

    /// Appends the next event with its line end.
    pub fn next_into(&mut self, out: &mut String) {
        let i = self.number;
        self.number += 1;
        match self.workload {
            Workload::Small => small(&mut self.random, i, out),
            Workload::Truths => truths(&mut self.random, i, out),
            Workload::Wide | Workload::Filter => wide(&mut self.random, i, out),
            Workload::Cjk => cjk(&mut self.random, i, out),
        }
        out.push('\n');
    }
}

const FIRST_NAMES: &[&str] = &["Alice", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Iris"];
const LAST_NAMES: &[&str] = &["Adams", "Brown", "Clark", "Davies", "Evans", "Foster", "Green", "Hughes"];
const PLANS: &[&str] = &["free", "starter", "team", "business"];
const CITIES: &[&str] = &["Berlin", "Lisbon", "Austin", "Leeds", "Toronto", "Osaka", "Nairobi", "Lima"];
const COLOURS: &[&str] = &["black", "white", "navy", "olive", "coral", "slate"];
const CATEGORIES: &[&str] = &["Shoes", "Jackets", "Backpacks", "Tents", "Lamps", "Bottles", "Gloves"];
const FAMILY_NAMES: &[&str] = &["王", "李", "佐藤", "鈴木", "김", "박", "陈", "高橋"];
const GIVEN_NAMES: &[&str] = &["小明", "美玲", "太郎", "さくら", "민준", "서연", "志强", "花子"];
const CJK_CITIES: &[&str] = &["東京都渋谷区", "上海市浦东新区", "서울특별시 강남구", "大阪市北区", "深圳市南山区"];
const NOTES: &[&str] = &[
    "お問い合わせありがとうございます。担当者よりご連絡いたします。",
    "请在工作日联系我,谢谢。最近搬家了,地址已经更新。",
    "배송 전에 연락 부탁드립니다. 감사합니다 🙏",
];

/// Returns a time of day that advances with each event.
fn time(i: u64) -> String {
    let seconds = i / 19;
    let (hours, minutes) = (9 + seconds / 3600 % 14, seconds / 60 % 60);
    format!("2024-05-13T{hours:02}:{minutes:02}:{:02}.{:03}Z", seconds % 60, i * 53 % 1000)
}

/// Writes a formatted text. Writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)+) => { write!($out, $($format)+).expect("a string takes everything") };
}

fn person(random: &mut Random, i: u64) -> (&'static str, &'static str, String) {
    let (first, last) = (random.pick(FIRST_NAMES), random.pick(LAST_NAMES));
    (first, last, format!("{first}.{last}.{i}@example.com").to_lowercase())
}

fn small(random: &mut Random, i: u64, out: &mut String) {
    let (first, last, email) = person(random, i);
    let (id, ip, age) = (random.uuid(), random.between(1, 254), random.between(18, 80));
    let (plan, city, at) = (random.pick(PLANS), random.pick(CITIES), time(i));
    put!(
        out,
        r#"{{"type":"identify","messageId":"{id}","userId":"user-{}","channel":"web","context":{{"ip":"203.0.113.{ip}","#,
        100_000 + i
    );
    out.push_str(r#""library":{"name":"web-sdk","version":"3.2.1"},"locale":"en-GB","#);
    out.push_str(r#""page":{"path":"/signup","title":"Join us"}},"#);
    put!(out, r#""traits":{{"firstName":"{first}","lastName":"{last}","email":"{email}","age":"{age}","#);
    put!(out, r#""plan":"{plan}","city":"{city}"}},"integrations":{{"All":true}},"#);
    put!(out, r#""originalTimestamp":"{at}","sentAt":"{at}"}}"#);
}

fn wide(random: &mut Random, i: u64, out: &mut String) {
    let (first, last, email) = person(random, i);
    let (message, anonymous) = (random.uuid(), random.uuid());
    put!(out, r#"{{"type":"track","event":"Order Completed","messageId":"{message}","anonymousId":"{anonymous}","#);
    put!(out, r#""userId":"user-{}","channel":"web","context":{{"#, 100_000 + i);
    out.push_str(r#""app":{"name":"Outfitters","version":"5.14.0","namespace":"com.example.outfitters"},"#);
    out.push_str(r#""campaign":{"name":"spring-sale","source":"newsletter","medium":"email","content":"hero"},"#);
    out.push_str(r#""device":{"type":"desktop","manufacturer":"Apple","model":"MacBook Pro"},"#);
    put!(out, r#""ip":"203.0.113.{}","#, random.between(1, 254));
    out.push_str(r#""library":{"name":"web-sdk","version":"3.2.1"},"locale":"en-GB","#);
    out.push_str(r#""page":{"path":"/checkout/done","referrer":"https://shop.example.com/checkout/payment","#);
    put!(out, r#""title":"Thank you | Outfitters","url":"https://shop.example.com/checkout/done?order={i}"}},"#);
    out.push_str(r#""screen":{"density":2,"height":1117,"width":1728,"innerHeight":1009,"innerWidth":1728},"#);
    put!(out, r#""sessionId":{},"timezone":"Europe/London","#, 1_715_000_000 + i);
    put!(out, r#""traits":{{"firstName":"{first}","lastName":"{last}","email":"{email}","#);
    let plan = if random.one_in(10) { "enterprise" } else { random.pick(PLANS) };
    put!(out, r#""phone":"+44-20-7946-0{}","plan":"{plan}","#, random.between(100, 999));
    put!(out, r#""loyaltyPoints":"{}"}},"#, random.between(0, 9000));
    out.push_str(r#""userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 "#);
    out.push_str(r#"(KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"},"#);
    put!(out, r#""properties":{{"order_id":"order-{}","total":{},"#, 500_000 + i, money(random, 900_000));
    put!(out, r#""tax":{},"shipping":4.95,"currency":"GBP","coupon":null,"products":["#, money(random, 9000));
    for position in 1..=40 {
        if position > 1 {
            out.push(',');
        }
        let (id, sku) = (random.next() as u32, random.between(10_000, 99_999));
        let (colour, category) = (random.pick(COLOURS), random.pick(CATEGORIES));
        put!(out, r#"{{"product_id":"{id:08x}","sku":"S-{sku}","name":"{category} {colour}","category":"{category}","#);
        put!(out, r#""variant":"{colour}","price":{},"#, money(random, 49_999));
        put!(out, r#""quantity":{},"position":{position}}}"#, random.between(1, 4));
    }
    let at = time(i);
    put!(out, r#"]}},"integrations":{{"All":true}},"originalTimestamp":"{at}","sentAt":"{at}"}}"#);
}

/// Returns an amount with cents. Rust formats it as a JavaScript engine does.
fn money(random: &mut Random, most: u64) -> f64 {
    random.between(100, most) as f64 / 100.0
}

fn cjk(random: &mut Random, i: u64, out: &mut String) {
    let (family, given, at) = (random.pick(FAMILY_NAMES), random.pick(GIVEN_NAMES), time(i));
    put!(out, r#"{{"type":"identify","messageId":"{}","userId":"用户-{}","#, random.uuid(), 100_000 + i);
    out.push_str(r#""channel":"mobile","context":{"device":{"type":"ios","name":"花子のiPhone"},"#);
    out.push_str(r#""library":{"name":"ios-sdk","version":"1.9.0"},"locale":"ja-JP"},"#);
    put!(out, r#""traits":{{"familyName":"{family}","givenName":"{given}","email":"user.{i}@example.com","#);
    let (age, city, block, house) =
        (random.between(18, 80), random.pick(CJK_CITIES), random.between(1, 9), random.between(1, 30));
    put!(out, r#""age":{age},"address":"{city}{block}丁目{house}番地","#);
    put!(out, r#""company":"株式会社{}商事 {}支店","#, random.pick(FAMILY_NAMES), random.pick(CJK_CITIES));
    put!(out, r#""note":"{}","tags":["お得意様","新规客户","모바일","定期購入"]}},"#, random.pick(NOTES));
    put!(out, r#""originalTimestamp":"{at}","sentAt":"{at}"}}"#);
}

/// Writes a row of a sync. Six in ten rows are unchanged, one in twenty is new, and the others differ in one column.
fn truths(random: &mut Random, i: u64, out: &mut String) {
    let (first, last, email) = person(random, i);
    let group = format!("acct-{}", 100_000 + i * 7);
    let (city, plan, seats) = (random.pick(CITIES), random.pick(PLANS), random.between(0, 250));
    let (mrr, health, stage) = (money(random, 400_000), random.between(0, 100), random.pick(&["lead", "customer"]));
    let (created, message) = (time(random.between(0, 1_000_000)), random.uuid());
    let row = |seats: u64, stage: &str| {
        format!(
            r#"[["group_id","{group}"],["name","{last} Logistics GmbH"],["domain","{last}-{i}.example.com"],["owner_name","{first} {last}"],["owner_email","{email}"],["industry","Software"],["employees",480],["city","{city}"],["country","DE"],["phone","+1-202-555-0{}"],["plan","{plan}"],["is_paying",true],["seats",{seats}],["mrr",{mrr}],["stage","{stage}"],["csm",null],["health_score",{health}],["created_at","{created}"],["last_seen_at","{created}"],["renewal_at","2025-01-31"]]"#,
            100 + i % 100
        )
    };
    let fate = random.between(0, 99);
    let text = |row: &str| serde_json::to_string(row).expect("text");
    let before = match fate {
        0..5 => "null".to_owned(),
        5..65 => text(&row(seats, stage)),
        _ => text(&row(seats + 1, "trial")),
    };
    put!(
        out,
        r#"{{"type":"identify","channel":"sources","userId":"{group}","messageId":"{message}","recordId":"{i}","#
    );
    put!(out, r#""context":{{"sources":{{"job_id":"2Kx4f1a9/Syncher","task_id":"ACCOUNTS_WITH_TRUTH","#);
    put!(out, r#""version":"v1.41.2","warehouse_row_id":{}}},"mappedToDestination":true,"#, 7_000_000_000 + i);
    out.push_str(r#""library":{"name":"warehouse-sync","version":"2.14.0"}},"#);
    put!(out, r#""integrations":{{"All":false,"HubSpot":true}},"traits":{{"group_id":"{group}","#);
    put!(out, r#""new_truth":{},"old_truth":{before}"#, text(&row(seats, stage)));
    if random.one_in(2) {
        put!(out, r#","sfdc_id":"001{:012X}AAQ""#, random.next() >> 16);
    }
    let at = time(i);
    put!(out, r#"}},"originalTimestamp":"{at}","sentAt":"{at}","timestamp":"{at}"}}"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(workload: Workload, seed: u64, count: usize) -> String {
        let mut events = Events::new(workload, seed);
        let mut out = String::new();
        (0..count).for_each(|_| events.next_into(&mut out));
        out
    }

    #[test]
    fn every_kind_is_json_of_its_size_and_depends_on_the_seed_only() {
        for (workload, least, most) in [
            (Workload::Small, 400, 600),
            (Workload::Truths, 1300, 2400),
            (Workload::Wide, 6000, 8000),
            (Workload::Cjk, 600, 900),
            (Workload::Filter, 6000, 8000),
        ] {
            let lines = text(workload, 1, 200);
            for line in lines.lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object(), "{line}");
            }
            let mean = lines.len() / 200;
            assert!((least..most).contains(&mean), "{workload}: {mean} bytes");
            assert_eq!(lines, text(workload, 1, 200));
            assert_ne!(lines, text(workload, 2, 200));
        }
    }

    #[test]
    fn the_names_are_those_of_the_table() {
        for workload in Workload::ALL {
            assert_eq!(Workload::from_word(&workload.to_string()), Some(workload));
        }
    }
}
