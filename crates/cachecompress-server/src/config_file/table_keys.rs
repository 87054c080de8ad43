//! The names of the keys in tables that are no flags, by the schema of their structs.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::mistake::Mistake;
use super::nearest::unknown_key;
use crate::tables::GivenTables;

/// The schema of the tables, without references.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<GivenTables>().to_value();
    without_null(&mut schema);
    schema
});

/// Takes `null` out of a schema, which a struct's optional fields have and TOML has not.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|name, value| !(name == "default" && value.is_null()));
            members.values_mut().for_each(without_null);
            if let Some(Value::Array(types)) = members.get_mut("type")
                && let [only] = types.as_slice()
            {
                let only = only.clone();
                members.insert("type".to_owned(), only);
            }
            if let Some(Value::Array(any)) = members.get_mut("anyOf")
                && let [only] = any.as_mut_slice()
            {
                let mut only = only.take();
                if let (Some(only), Some(words)) =
                    (only.as_object_mut(), members.get("description"))
                {
                    only.insert("description".to_owned(), words.clone());
                }
                *schema = only;
            }
        }
        Value::Array(elements) => {
            let is_null =
                |value: &Value| *value == "null" || value.is_null() || value["type"] == "null";
            elements.retain(|element| !is_null(element));
            elements.iter_mut().for_each(without_null);
        }
        _ => {}
    }
}

/// The schema of each table, by its name.
pub(crate) fn schemas() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let properties = SCHEMA.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

/// The schema of the table with this name.
pub(crate) fn schema(name: &str) -> Option<&'static Value> {
    schemas().find(|(known, _)| *known == name).map(|(_, schema)| schema)
}

/// The names of the keys of the table with this name.
pub(crate) fn names(table: &str) -> Vec<&'static str> {
    let properties = schema(table).and_then(properties);
    properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Adds a mistake for each key of `value` that the struct of the `schema` does not have. Returns the
/// value without the rules that have such a key, if any of it is left.
pub(crate) fn without_unknown<'i>(
    schema: &Value,
    value: &Spanned<DeValue<'i>>,
    place: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<Spanned<DeValue<'i>>> {
    match value.get_ref() {
        DeValue::Array(elements) => {
            let Some(items) = schema.get("items") else { return Some(value.clone()) };
            let known =
                elements.iter().filter_map(|rule| without_unknown(items, rule, place, mistakes));
            Some(Spanned::new(value.span(), DeValue::Array(known.collect())))
        }
        DeValue::Table(table) => {
            let Some(properties) = properties(schema) else { return Some(value.clone()) };
            let before = mistakes.len();
            for (name, _) in table {
                if !properties.contains_key(name.get_ref().as_ref()) {
                    let known = properties.keys().map(String::as_str);
                    mistakes.push(unknown_key(name, place, known));
                }
            }
            (mistakes.len() == before).then(|| value.clone())
        }
        _ => Some(value.clone()),
    }
}

fn properties(schema: &Value) -> Option<&serde_json::Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}
