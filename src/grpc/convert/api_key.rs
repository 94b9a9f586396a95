//! API keys.

use super::{
    actor::{read_actor, show_actor},
    time::{read_timestamp, show_timestamp},
    value,
};
use crate::{
    domain::{api_key::ApiKey, error::Faults, permission::Permission},
    grpc::proto,
    service::api_keys::CreateApiKey,
};

/// A key to be made.
pub(crate) fn read_api_key(key: proto::ApiKey) -> CreateApiKey {
    let proto::ApiKey {
        api_key_id: _,
        tenant_id,
        actor,
        permissions,
        create_time: _,
        expire_time,
        revoke_time: _,
    } = key;
    let mut faults = Faults::default();
    let at = "api_key.permissions";
    let read = value::read_numbers(&permissions, at, Permission::from_number, &mut faults);
    let expire_time = read_timestamp(expire_time.as_ref(), "api_key.expire_time", &mut faults);
    CreateApiKey {
        tenant_id,
        actor: read_actor(actor.unwrap_or_default()),
        permissions: read.into_iter().collect(),
        expire_time,
        faults,
    }
}

/// A key for the wire; its token is not in it.
pub(crate) fn show_api_key(key: &ApiKey) -> proto::ApiKey {
    let ApiKey { id, realm, actor, permissions, create_time, expire_time, revoke_time } = key;
    proto::ApiKey {
        api_key_id: id.to_string(),
        tenant_id: realm.to_string(),
        actor: Some(show_actor(actor)),
        // The domain's numbers are the contract's.
        permissions: permissions.iter().map(|permission| permission as i32).collect(),
        create_time: Some(show_timestamp(*create_time)),
        expire_time: expire_time.map(show_timestamp),
        revoke_time: revoke_time.map(show_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_permissions_are_the_contracts() {
        for permission in Permission::ALL {
            let number = proto::Permission::try_from(permission as i32).expect("a number");
            let name = format!("PERMISSION_{}", permission.name().replace('-', "_").to_uppercase());
            assert_eq!(number.as_str_name(), name);
        }
        assert!(proto::Permission::try_from(Permission::ALL.len() as i32 + 1).is_err());
    }

    #[test]
    fn unknown_permissions_are_told_one_by_one() {
        let permissions = vec![1, 0, 99];
        let read = read_api_key(proto::ApiKey { permissions, ..Default::default() });
        let fields: Vec<_> =
            read.faults.into_error().violations.into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["api_key.permissions[1]", "api_key.permissions[2]"]);
    }
}
