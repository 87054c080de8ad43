//! The JSON Schema of the configuration file, for editors.

use serde_json::{Map, Value, json};

use super::key::{Key, Keys, Kind, Numbers};
use super::table_keys;

/// The schema of the file, as JSON with a line's end.
pub(crate) fn schema(keys: &Keys) -> String {
    let all = keys.iter().collect::<Vec<_>>();
    let of_site = keys.iter().filter(|key| key.of_site).collect::<Vec<_>>();
    let mut site = properties(&of_site);
    site.insert(
        "hosts".to_owned(),
        json!({
            "description": "The hosts of the site. Requests for unknown hosts get the first site.",
            "type": "array",
            "items": { "type": "string" },
            "minItems": 1,
        }),
    );
    let mut top = properties(&all);
    top.insert("sites".to_owned(), json!({
        "description": "Sites by host. A site takes from the top of the file what it does not say.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": site,
            "required": ["hosts"],
            "additionalProperties": false,
        },
    }));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration file of cachecompress",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

/// The schemas of flags and of tables, by their names.
fn properties(keys: &[&Key]) -> Map<String, Value> {
    let mut properties = Map::new();
    for (name, schema) in table_keys::schemas() {
        properties.insert(name.to_owned(), schema.clone());
    }
    for key in keys {
        let place = match key.section {
            None => &mut properties,
            Some(section) => section_of(&mut properties, section),
        };
        place.insert(key.name.clone(), of_key(key));
    }
    properties
}

/// The properties of the table `section`, which is made if it is not there.
fn section_of<'a>(
    properties: &'a mut Map<String, Value>,
    section: &str,
) -> &'a mut Map<String, Value> {
    let table = properties.entry(section).or_insert_with(
        || json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    );
    table["properties"].as_object_mut().expect("a table's schema has properties")
}

fn of_key(key: &Key) -> Value {
    let mut schema = shape(key);
    let words = key.summary().split_whitespace().collect::<Vec<_>>().join(" ");
    schema["description"] = json!(words);
    if let Some(default) = default(key) {
        schema["default"] = default;
    }
    schema
}

fn shape(key: &Key) -> Value {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    match key.kind() {
        Kind::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::List if key.default().is_empty() => texts(),
        Kind::List => {
            let mut texts = texts();
            texts["minItems"] = json!(1);
            texts
        }
        Kind::Single if key.takes_joined_list() => {
            json!({ "anyOf": [{ "type": "string" }, texts()] })
        }
        Kind::Single if key.is_switch() => json!({ "enum": [true, false, "on", "off"] }),
        Kind::Single if !key.choices().is_empty() => {
            let words = key.choices().into_iter().map(Value::from);
            let switches = [true, false].into_iter().filter(|on| key.text_of(*on).is_some());
            json!({ "enum": words.chain(switches.map(Value::from)).collect::<Vec<_>>() })
        }
        Kind::Single => {
            let switch = key.text_of(true).is_some() && key.text_of(false).is_some();
            let types = match (key.numbers(), key.has_units()) {
                (Numbers::Whole, false) => json!("integer"),
                (Numbers::Fractions, _) => json!("number"),
                (Numbers::Whole | Numbers::Octal, _) => json!(["string", "integer"]),
                (Numbers::None, _) if switch => json!(["string", "boolean"]),
                (Numbers::None, _) => json!("string"),
            };
            json!({ "type": types })
        }
    }
}

fn default(key: &Key) -> Option<Value> {
    let mut texts = key.default();
    match key.kind() {
        Kind::Map => None,
        Kind::List => (!texts.is_empty()).then(|| json!(texts)),
        Kind::Single => {
            let text = texts.pop()?;
            Some(match key.numbers() {
                _ if key.is_switch() => json!(matches!(text.as_str(), "on" | "true")),
                Numbers::Whole if !key.has_units() => json!(text.parse::<i64>().ok()?),
                Numbers::Fractions => json!(text.parse::<f64>().ok()?),
                _ => json!(text),
            })
        }
    }
}
