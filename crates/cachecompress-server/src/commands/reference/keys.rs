//! The page of the configuration file's keys.

use serde_json::{Map, Value};

use super::WRITTEN_BY;
use super::markdown::{code, paragraphs, text};
use crate::config_file::{self, Keys};

/// The page: a table for the outermost keys, and one for each table of the file.
pub(in crate::commands) fn keys() -> String {
    let keys = Keys::of_serve();
    let schema: Value =
        serde_json::from_str(&config_file::schema(&keys)).expect("the schema is JSON");
    let mut page = format!(
        "# Keys of the configuration file\n\nThis page has every key of the file, by its \
         [schema](../cachecompress.schema.json). {WRITTEN_BY} [config.md](../config.md) explains the \
         file itself, and [the flags](flags.md) have the meaning of the keys that are flags.\n"
    );
    let top = properties(&schema);
    let (tables, plain): (Vec<_>, Vec<_>) =
        top.into_iter().partition(|(_, schema)| inner(schema).is_some());
    page += "\n## Outside of tables\n";
    page += &rows(&keys, None, &plain, &Value::Null);
    for (name, schema) in tables {
        let Some((object, is_list)) = inner(schema) else { continue };
        let heading = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
        page += &format!("\n## {}\n", code(&heading));
        let words = schema["description"].as_str().unwrap_or_default();
        paragraphs(words).iter().for_each(|words| page += &format!("\n{words}\n"));
        page += &match name {
            "sites" => sites(&keys, object),
            _ => rows(&keys, Some(name), &properties(object), &object["required"]),
        };
    }
    page
}

/// The schema of a table's keys, and whether the file may have several of the table.
fn inner(schema: &Value) -> Option<(&Value, bool)> {
    match &schema["items"] {
        items if items["properties"].is_object() => Some((items, true)),
        _ => schema["properties"].is_object().then_some((schema, false)),
    }
}

fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let properties = schema["properties"].as_object().map(Map::iter).into_iter().flatten();
    properties.map(|(name, schema)| (name.as_str(), schema)).collect()
}

/// The keys of a site: its hosts, and the names of those that it shares with the top of the file.
fn sites(keys: &Keys, object: &Value) -> String {
    let (own, shared): (Vec<_>, Vec<_>) =
        properties(object).into_iter().partition(|(name, _)| *name == "hosts");
    let names: Vec<_> = shared.iter().map(|(name, _)| code(name)).collect();
    let table = rows(keys, Some("sites"), &own, &object["required"]);
    format!("{table}\nA site may also have {}.\n", names.join(", "))
}

fn rows(keys: &Keys, section: Option<&str>, of: &[(&str, &Value)], required: &Value) -> String {
    let mut table = "\n| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, schema) in of {
        let is_required = required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let default = match &schema["default"] {
            _ if is_required => "required".to_owned(),
            Value::Null => String::new(),
            default => code(&default.to_string()),
        };
        let meaning = match keys.find(section, name) {
            Some(key) => {
                let flag = key.flag();
                format!("[{}](flags.md#{})", code(&flag), flag.to_lowercase())
            }
            None => schema["description"].as_str().map(text).unwrap_or_default(),
        };
        table += &format!("| {} | {} | {default} | {meaning} |\n", code(name), shape(schema));
    }
    table
}

/// The values that a schema allows, in words.
fn shape(schema: &Value) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        return choices
            .iter()
            .map(|choice| code(&choice.to_string()))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().map(shape).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::Array(types) => {
            types.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or ")
        }
        Value::String(kind) if kind == "array" => format!("array of: {}", shape(&schema["items"])),
        Value::String(kind) if kind == "object" => {
            format!("table of: {}", shape(&schema["additionalProperties"]))
        }
        Value::String(kind) => word(kind).to_owned(),
        _ => "any".to_owned(),
    }
}

/// TOML's word for a type of JSON.
fn word(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "`true`, `false`",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shape_says_what_a_key_takes() {
        for (schema, words) in [
            (json!({ "type": ["string", "integer"] }), "text or whole number"),
            (json!({ "type": "array", "items": { "type": "string" } }), "array of: text"),
            (json!({ "enum": ["off", true] }), "`\"off\"`, `true`"),
            (
                json!({ "anyOf": [{ "type": "string" }, { "type": "boolean" }] }),
                "text or `true`, `false`",
            ),
        ] {
            assert_eq!(shape(&schema), words);
        }
    }
}
