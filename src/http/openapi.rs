//! `/openapi.json`: the OpenAPI document of all dialects.
//!
//! Each dialect keeps its paths and schemas in a file beside its code. Who may call an
//! operation is not in these files: it is taken from the table of permissions, so that the
//! document cannot say otherwise. It is put together for the first who asks: most servers are
//! never asked, and it takes megabytes.

use std::sync::{Arc, OnceLock};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    access::ACCESS,
    answer, gate,
    refusal::Cause,
    routes::{Dialect, Routes},
    socotra, sonar, status, superoffice, v3,
};
use crate::{domain::access::Access, service::Services};

/// What all dialects share, and this route.
const BASE: &str = include_str!("openapi.json");
/// The files of the dialects.
const DIALECTS: [&str; 4] = [v3::OPENAPI, superoffice::OPENAPI, sonar::OPENAPI, socotra::OPENAPI];
/// The headers that name the tenant, where the path does not.
const TENANT: [&str; 2] = ["#/components/parameters/Tenant", "#/components/parameters/OrgId"];

/// The route of the document.
pub(super) fn routes(services: &Services) -> Dialect {
    let text = Arc::new(OnceLock::new());
    let serve = move || std::future::ready(answer_with(text.get_or_init(text_of_document)));
    Routes::<Refusal>::new(services).serve(Method::GET, "/openapi.json", serve).finish()
}

fn answer_with(text: &Result<Bytes, String>) -> Response {
    match text {
        Ok(text) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], text.clone()).into_response()
        }
        Err(error) => {
            // Tests would not let it pass.
            tracing::error!(error, "there is no OpenAPI document");
            answer::empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn text_of_document() -> Result<Bytes, String> {
    serde_json::to_vec(&document()?).map(Bytes::from).map_err(|e| e.to_string())
}

/// Belongs to no dialect: a status says all.
struct Refusal(Cause);

impl<C: Into<Cause>> From<C> for Refusal {
    fn from(cause: C) -> Self {
        Self(cause.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.answer(|cause| {
            answer::empty(match cause {
                Cause::Error(error) => status::of(error.reason),
                Cause::Body(fault) => fault.status(),
                Cause::NotFound => StatusCode::NOT_FOUND,
                Cause::Method => StatusCode::METHOD_NOT_ALLOWED,
            })
        })
    }
}

/// Puts the document together.
///
/// # Errors
///
/// In words, what is wrong with the files, or where they differ from the table.
pub(super) fn document() -> Result<Value, String> {
    let mut document = parse(BASE)?;
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let mut left = ACCESS.iter().filter(|(method, ..)| *method != Method::OPTIONS).count();
    left -= permit(&mut document)?;
    for file in DIALECTS {
        let mut dialect = parse(file)?;
        left -= permit(&mut dialect)?;
        merge(&mut document, dialect)?;
    }
    match left {
        0 => Ok(document),
        left => Err(format!("{left} routes are not in the OpenAPI document")),
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("a file of the OpenAPI document: {e}"))
}

/// Tells each operation of a file what credentials it needs, how it refuses who lacks them, and
/// where the tenant is named; gives how many there are.
fn permit(file: &mut Value) -> Result<usize, String> {
    let schemes = file.get("security").cloned().unwrap_or_default();
    let refusals = file.get("x-refusals").cloned().unwrap_or_default();
    let Some(paths) = file["paths"].as_object_mut() else { return Err("no paths".to_owned()) };
    let mut count = 0;
    for (path, item) in paths {
        for (name, operation) in item.as_object_mut().into_iter().flatten() {
            if name == "parameters" {
                continue;
            }
            let method = name.to_uppercase().parse::<Method>().map_err(|e| e.to_string())?;
            let access = super::access::of(&method, path)
                .ok_or_else(|| format!("{method} {path} is in the OpenAPI document only"))?;
            operation["security"] = security(&schemes, operation, access);
            if access != Access::Open {
                refuse(operation, &refusals);
            }
            if matches!(access, Access::Needs(_)) && !path.contains(gate::TENANT) {
                name_tenant(operation)?;
            }
            count += 1;
        }
    }
    Ok(count)
}

/// The schemes of the file, any one of which is enough, with the permission as its role. An
/// operation may name more schemes of its own.
fn security(schemes: &Value, operation: &Value, access: Access) -> Value {
    let roles = match access {
        Access::Open => return json!([]),
        Access::Known => json!([]),
        Access::Needs(permission) => json!([permission.to_string()]),
    };
    let own = operation.get("security").cloned().unwrap_or_default();
    let all = [schemes, &own].into_iter().filter_map(Value::as_array).flatten();
    let names = all.filter_map(Value::as_object).flat_map(Map::keys);
    names.map(|name| json!({ name: roles })).collect()
}

/// Adds the refusals that an operation does not tell in words of its own.
fn refuse(operation: &mut Value, refusals: &Value) {
    for (status, refusal) in refusals.as_object().into_iter().flatten() {
        let told = &mut operation["responses"][status.as_str()];
        if told.is_null() {
            *told = refusal.clone();
        }
    }
}

/// Adds the headers that name the tenant.
fn name_tenant(operation: &mut Value) -> Result<(), String> {
    let parameters = &mut operation["parameters"];
    if parameters.is_null() {
        *parameters = json!([]);
    }
    let Some(parameters) = parameters.as_array_mut() else {
        return Err("no parameters".to_owned());
    };
    parameters.extend(TENANT.map(|to| json!({ "$ref": to })));
    Ok(())
}

/// Adds a file to the document; nothing may be there twice.
fn merge(document: &mut Value, mut dialect: Value) -> Result<(), String> {
    if let (Some(all), Some(more)) = (document["tags"].as_array_mut(), dialect["tags"].as_array()) {
        all.extend(more.iter().cloned());
    }
    add(&mut document["paths"], &dialect["paths"])?;
    for (kind, parts) in dialect["components"].as_object_mut().into_iter().flatten() {
        add(&mut document["components"][kind.as_str()], parts)?;
    }
    Ok(())
}

/// Adds members to an object.
fn add(to: &mut Value, more: &Value) -> Result<(), String> {
    if to.is_null() {
        *to = json!({});
    }
    let Some(to) = to.as_object_mut() else { return Err("no object to add to".to_owned()) };
    for (name, value) in more.as_object().into_iter().flatten() {
        if to.insert(name.clone(), value.clone()).is_some() {
            return Err(format!("{name} is twice in the OpenAPI document"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::tenant;

    /// All values of members of that name.
    fn all<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(members) => {
                for (member, value) in members {
                    if member == name {
                        found.push(value);
                    }
                    all(value, name, found);
                }
            }
            Value::Array(entries) => entries.iter().for_each(|entry| all(entry, name, found)),
            _ => {}
        }
    }

    /// Method, path and operation of all of them.
    fn operations(document: &Value) -> Vec<(Method, &str, &Value)> {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (name, operation) in item.as_object().expect("an item") {
                if name != "parameters" {
                    let method = name.to_uppercase().parse().expect("a method");
                    operations.push((method, path.as_str(), operation));
                }
            }
        }
        operations
    }

    #[test]
    fn its_operations_are_the_routes_of_the_table_with_their_permissions() {
        let document = document().expect("a document");
        let mut told: Vec<_> = operations(&document)
            .into_iter()
            .map(|(method, path, operation)| {
                let schemes = operation["security"].as_array().expect("schemes");
                let roles = schemes.iter().filter_map(Value::as_object).flat_map(Map::values);
                let roles: BTreeSet<_> = roles.map(|role| role[0].to_string()).collect();
                (method.to_string(), path, roles)
            })
            .collect();
        told.sort();
        let routes = ACCESS.iter().filter(|(method, ..)| *method != Method::OPTIONS);
        let mut listed: Vec<_> = routes
            .map(|(method, path, access)| {
                let role = match access {
                    Access::Open | Access::Known => None,
                    Access::Needs(permission) => Some(format!("\"{permission}\"")),
                };
                (method.to_string(), *path, BTreeSet::from_iter(role))
            })
            .collect();
        listed.sort();
        assert_eq!(told, listed);
    }

    #[test]
    fn what_it_refers_to_is_there_and_all_of_it_is_used() {
        let document = document().expect("a document");
        let mut found = Vec::new();
        all(&document, "$ref", &mut found);
        let used: BTreeSet<String> =
            found.iter().filter_map(|to| to.as_str()).map(|to| to.replace("#/", "/")).collect();
        for to in &used {
            assert!(document.pointer(to).is_some(), "{to} is not there");
        }
        for kind in ["schemas", "responses", "headers", "parameters"] {
            for name in document["components"][kind].as_object().expect("components").keys() {
                let to = format!("/components/{kind}/{name}");
                assert!(used.contains(&to), "{to} is not used");
            }
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_links_lead_to_one() {
        let document = document().expect("a document");
        let ids: Vec<_> = operations(&document)
            .into_iter()
            .map(|(method, path, operation)| {
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}"))
            })
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        let mut named = Vec::new();
        all(&document, "operationId", &mut named);
        assert!(
            named.iter().all(|id| id.as_str().is_some_and(|id| ids.contains(&id))),
            "{named:?}"
        );
    }

    #[test]
    fn the_tenant_is_named_by_the_path_or_by_headers() {
        let document = document().expect("a document");
        let named: Vec<_> = TENANT
            .iter()
            .map(|to| document.pointer(&to[1..]).expect("a parameter")["name"].clone())
            .map(|name| name.as_str().expect("a name").to_lowercase())
            .collect();
        assert_eq!(named, tenant::HEADERS.each_ref().map(|name| name.as_str().to_owned()));
        for (method, path, operation) in operations(&document) {
            let open = operation["security"] == json!([]);
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let told = parameters.filter(|p| TENANT.iter().any(|to| p["$ref"] == *to)).count();
            let expected = if open || path.contains("{tenantLocator}") { 0 } else { TENANT.len() };
            assert_eq!(told, expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_twice_or_in_no_table_is_refused() {
        let mut document = document().expect("a document");
        let again = parse(sonar::OPENAPI).expect("a file");
        assert!(merge(&mut document, again).is_err_and(|told| told.contains("twice")));
        let mut file = json!({"paths": {"/nowhere": {"get": {"responses": {}}}}});
        assert!(permit(&mut file).is_err_and(|told| told.contains("GET /nowhere")));
    }
}
