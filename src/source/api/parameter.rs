//! Where a page's number, offset or cursor goes in a request: the query, or a place in a JSON body.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::connect::http::{HttpRequest, with_parameter};
use crate::plan::api::ApiBody;

/// A JSON text that is changed in one place: everything else stays as it is spelled, numbers with all their digits.
struct Object(Vec<(String, Box<RawValue>)>);

/// Sets a parameter of a request to a value, which is given as JSON. A name that begins with `/` points into the request's JSON body.
///
/// # Errors
/// The reason, in words.
pub(super) fn set(request: &mut HttpRequest, name: &str, json: &str) -> Result<(), String> {
    if !name.starts_with('/') {
        request.url = with_parameter(&request.url, name, &plain(json)?);
        return Ok(());
    }
    let Some(ApiBody::Json(body)) = &mut request.body else {
        return Err(format!("{name} points into a JSON body, and the request has none"));
    };
    let steps: Vec<String> = name[1..].split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    *body = changed(body, &steps, json).map_err(|reason| format!("{name}: {reason}"))?;
    Ok(())
}

/// Returns a JSON value as a query has it.
pub(super) fn plain(json: &str) -> Result<String, String> {
    match json.trim_start().as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map_err(|error| format!("the value is no JSON: {error}")),
        Some(b'{' | b'[') => Err("the value is an object or a list, which a query can't hold".to_owned()),
        _ => Ok(json.trim().to_owned()),
    }
}

fn changed(text: &str, steps: &[String], json: &str) -> Result<String, String> {
    let Some((step, rest)) = steps.split_first() else { return Ok(json.to_owned()) };
    if text.trim_start().starts_with('[') {
        let mut items: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let item = step.parse::<usize>().ok().and_then(|index| items.get_mut(index)).ok_or(format!("the list has no item {step}"))?;
        *item = raw(changed(item.get(), rest, json)?)?;
        return serde_json::to_string(&items).map_err(|error| error.to_string());
    }
    let mut object: Object = serde_json::from_str(text).map_err(|_| format!("{step} is asked of what is no object"))?;
    match object.0.iter_mut().find(|(key, _)| key == step) {
        Some((_, value)) => *value = raw(changed(value.get(), rest, json)?)?,
        None => object.0.push((step.clone(), raw(changed("{}", rest, json)?)?)),
    }
    serde_json::to_string(&object).map_err(|error| error.to_string())
}

fn raw(text: String) -> Result<Box<RawValue>, String> {
    RawValue::from_string(text).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::api::ApiMethod;
    use reqwest::Url;

    fn request(url: &str, body: Option<&str>) -> HttpRequest {
        let body = body.map(|text| ApiBody::Json(text.to_owned()));
        HttpRequest { method: ApiMethod::Post, url: Url::parse(url).unwrap(), headers: Vec::new(), body }
    }

    #[test]
    fn a_parameter_of_the_query_is_set_and_the_others_stay_as_they_are_spelled() {
        let mut own = request("http://h/a?$filter=a%20eq%20'b'&page=1&x=1%2B1&page=7", None);
        set(&mut own, "page", "2").unwrap();
        assert_eq!(own.url.as_str(), "http://h/a?$filter=a%20eq%20%27b%27&x=1%2B1&page=2");
        set(&mut own, "page[after]", r#""a b+c&d/é""#).unwrap();
        assert_eq!(own.url.query_pairs().last().unwrap(), ("page[after]".into(), "a b+c&d/é".into()));
        assert!(own.url.as_str().ends_with("page%5Bafter%5D=a%20b%2Bc%26d%2F%C3%A9"), "{}", own.url);
    }

    #[test]
    fn a_place_in_the_body_is_set_and_no_digit_of_the_rest_is_lost() {
        let mut own = request("http://h/", Some(r#"{"id": 123456789012345678901234567890.10, "page": {"size": 10}, "l": [{"a": 1}]}"#));
        set(&mut own, "/page/after", "\"x\"").unwrap();
        set(&mut own, "/l/0/a", "2").unwrap();
        set(&mut own, "/new/deep~1er", "[1,2]").unwrap();
        let expected = r#"{"id":123456789012345678901234567890.10,"page":{"size":10,"after":"x"},"l":[{"a":2}],"new":{"deep/er":[1,2]}}"#;
        assert_eq!(own.body, Some(ApiBody::Json(expected.to_owned())));
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let refused = |body: Option<&str>, name: &str, json: &str| set(&mut request("http://h/", body), name, json).unwrap_err();
        assert_eq!(refused(None, "/a", "1"), "/a points into a JSON body, and the request has none");
        assert_eq!(refused(Some("{\"a\": 1}"), "/a/b", "1"), "/a/b: b is asked of what is no object");
        assert_eq!(refused(Some("[1]"), "/3", "1"), "/3: the list has no item 3");
        assert_eq!(refused(None, "a", "{}"), "the value is an object or a list, which a query can't hold");
    }
}
