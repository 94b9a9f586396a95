//! `tidings keys`: credentials, made on the database itself. A server that is running finds
//! new keys at once and hears of revoked ones within two seconds.

use clap::{Args, Subcommand};

use super::options::DatabaseOption;
use crate::{
    domain::{
        actor::Actor,
        api_key::{ApiKey, ApiKeyId, Realm},
        credential::key_token,
        error::{Error, Faults},
        permission::{Permission, Permissions},
    },
    server::SystemClock,
    store::Store,
};

/// Keys read at a time.
const PAGE: usize = 500;

/// What to do with keys.
#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and print its token, which cannot be shown again.
    Create(CreateOptions),
    /// List keys, oldest first.
    List(ListOptions),
    /// Revoke a key; servers refuse it within two seconds.
    Revoke(RevokeOptions),
}

/// Options of `tidings keys create`.
#[derive(Args)]
pub(super) struct CreateOptions {
    /// The tenant that the key covers, made where it does not exist; '*' for all tenants
    #[arg(long, value_name = "TENANT")]
    tenant: Realm,

    /// What it may do: all, or names such as webhooks-read
    #[arg(long, value_name = "NAME", required = true, num_args = 1.., value_delimiter = ',', value_parser = read_permissions)]
    permission: Vec<Permissions>,

    /// Who calls with it; shown in attributions
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,

    /// How long it works, such as 90days; for ever when absent
    #[arg(long, value_name = "DURATION", value_parser = humantime_serde::re::humantime::parse_duration)]
    expires_in: Option<std::time::Duration>,

    #[command(flatten)]
    database: DatabaseOption,
}

/// Options of `tidings keys list`.
#[derive(Args)]
pub(super) struct ListOptions {
    /// Only those of this tenant; '*' for those that cover all tenants
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Realm>,

    #[command(flatten)]
    database: DatabaseOption,
}

/// Options of `tidings keys revoke`.
#[derive(Args)]
pub(super) struct RevokeOptions {
    /// The key's id, such as ak_0123456789abcdef
    #[arg(value_name = "ID")]
    id: ApiKeyId,

    #[command(flatten)]
    database: DatabaseOption,
}

fn read_permissions(name: &str) -> Result<Permissions, String> {
    if name == "all" {
        return Ok(Permissions::all());
    }
    name.parse::<Permission>().map(|permission| [permission].into_iter().collect())
}

/// Does it.
pub(super) async fn keys(command: KeysCommand) -> Result<(), String> {
    match command {
        KeysCommand::Create(options) => create(options).await,
        KeysCommand::List(options) => list(options).await,
        KeysCommand::Revoke(options) => revoke(options).await,
    }
}

async fn open(database: &DatabaseOption) -> Result<Store, String> {
    let config = database.config()?;
    Store::open_beside(&config.database()?, config.secret_keys()?).await
}

fn failed(error: Error) -> String {
    error.to_string()
}

#[expect(clippy::print_stdout, reason = "the token alone, for scripts")]
async fn create(options: CreateOptions) -> Result<(), String> {
    let CreateOptions { tenant, permission, name, expires_in, database } = options;
    let now = SystemClock.now();
    let key = ApiKey {
        id: ApiKeyId::new(rand::random()),
        realm: tenant,
        actor: Actor { name, ..Actor::default() },
        permissions: permission.iter().flat_map(|some| some.iter()).collect(),
        create_time: now,
        expire_time: expires_in.map(|span| now.plus(span)),
        revoke_time: None,
    };
    let key = key.named();
    let mut faults = Faults::default();
    key.check(now, &mut faults);
    faults.check().map_err(failed)?;
    let store = open(&database).await?;
    if let Realm::Tenant(tenant) = &key.realm {
        store.ensure_tenant(tenant, now).await.map_err(failed)?;
    }
    let (token, hash) = key_token(rand::random());
    store.create_api_key(&key, hash).await.map_err(failed)?;
    eprintln!("made key {} for tenant {}; its token is shown only now:", key.id, key.realm);
    println!("{token}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
async fn list(options: ListOptions) -> Result<(), String> {
    let store = open(&options.database).await?;
    let now = SystemClock.now();
    let mut after = 0;
    loop {
        let page = store.api_keys(options.tenant.as_ref(), after, PAGE).await.map_err(failed)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        for (_, key) in &page {
            let ApiKey { id, realm, actor, permissions, .. } = key;
            let state = if key.is_live(now) { "live" } else { "ended" };
            let ends = key.revoke_time.or(key.expire_time);
            let ends = ends.map_or_else(|| "-".to_owned(), |at| at.rfc3339());
            let name = actor.name.escape_debug();
            println!("{id}\t{realm}\t{state}\t{ends}\t{permissions}\t{name}");
        }
    }
}

async fn revoke(options: RevokeOptions) -> Result<(), String> {
    let store = open(&options.database).await?;
    let key = store.revoke_api_key(options.id, None, SystemClock.now()).await.map_err(failed)?;
    eprintln!("key {} of tenant {} is revoked", key.id, key.realm);
    Ok(())
}
