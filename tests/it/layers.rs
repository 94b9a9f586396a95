//! The layers: which part may name which, where the database may be named, and
//! how long a file may get. ARCHITECTURE.md says why; here it is checked.

use std::{fs, path::Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What each layer may name beside itself. `lib` only declares the others.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("sender", &["domain"]),
    ("engine", &["domain", "store", "sender"]),
    ("service", &["domain", "store", "sender", "engine"]),
    ("grpc", &["domain", "service"]),
    ("http", &["domain", "service"]),
    ("server", &["domain", "store", "sender", "engine", "service", "grpc", "http"]),
    ("cli", &["domain", "store", "grpc", "server"]),
    ("main", &["cli"]),
    ("lib", &[]),
];
/// Crates that only the store may name; `sea_orm` stands for `sea_orm_migration` too.
const DATABASE: &[&str] = &["sea_orm", "sea_query", "sqlx", "rusqlite"];
/// What the domain may not name beside the database: I/O, the wire, the clock.
const IMPURE: &[&str] =
    &["tokio", "hyper", "tonic", "axum", "tower", "prost", "rustls", "SystemTime", "Instant"];
/// Names that say nothing about what is inside.
const VAGUE: &[&str] = &["utils", "util", "common", "models", "core", "helpers", "helper"];
/// A file that is longer holds more than one thing.
const LINES: usize = 400;

#[test]
fn the_source_keeps_to_its_layers() {
    let mut files = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    for layer in ["domain", "store", "sender", "engine", "service", "grpc", "server", "cli"] {
        let prefix = format!("{layer}/");
        assert!(files.iter().any(|(path, _)| path.starts_with(&prefix)), "{layer} was not read");
    }
    let found: Vec<_> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// All Rust files below a directory, with their paths from `src`.
fn read(directory: &Path, at: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name");
        if path.is_dir() {
            read(&path, &format!("{at}{name}/"), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((format!("{at}{name}"), fs::read_to_string(&path).expect("text")));
        }
    }
}

/// What is wrong with the file at `path`, counted from `src`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut module: Vec<String> =
        path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let layer = module[0].clone();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    let Some((_, below)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{path}: `{layer}` is no layer")];
    };
    let mut file = File { path, layer: &layer, below, found: Vec::new() };
    let lines = text.lines().count();
    if lines > LINES {
        file.report(format!("has {lines} lines; {LINES} are the most"));
    }
    for name in &module {
        file.check_module_name(name);
    }
    match text.parse::<TokenStream>() {
        Ok(tokens) => file.check(&flatten(tokens), &module),
        Err(e) => file.report(format!("is no Rust: {e}")),
    }
    file.found
}

/// Tokens as far as paths need them. Comments and literals are gone.
enum Token {
    Word(String),
    /// `::`
    Then,
    Comma,
    Star,
    Braces(Vec<Token>),
    /// Parentheses, brackets, and what a macro puts around a fragment.
    Group(Vec<Token>),
    Other,
}

fn flatten(tokens: TokenStream) -> Vec<Token> {
    let mut flat = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        flat.push(match token {
            TokenTree::Ident(word) => {
                Token::Word(word.to_string().trim_start_matches("r#").to_owned())
            }
            TokenTree::Group(group) => match (group.delimiter(), flatten(group.stream())) {
                (Delimiter::Brace, inner) => Token::Braces(inner),
                (_, inner) => Token::Group(inner),
            },
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                let second =
                    |next: &TokenTree| matches!(next, TokenTree::Punct(p) if p.as_char() == ':');
                tokens.next_if(second).map_or(Token::Other, |_| Token::Then)
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => Token::Comma,
            TokenTree::Punct(punct) if punct.as_char() == '*' => Token::Star,
            TokenTree::Punct(_) | TokenTree::Literal(_) => Token::Other,
        });
    }
    flat
}

struct File<'a> {
    path: &'a str,
    layer: &'a str,
    below: &'a [&'a str],
    found: Vec<String>,
}

impl File<'_> {
    fn report(&mut self, what: String) {
        let what = format!("{}: {what}", self.path);
        if !self.found.contains(&what) {
            self.found.push(what);
        }
    }

    /// Checks tokens that stand in `module`.
    fn check(&mut self, tokens: &[Token], module: &[String]) {
        for (i, token) in tokens.iter().enumerate() {
            let after_path = i > 0 && matches!(tokens[i - 1], Token::Then);
            let rest = &tokens[i + 1..];
            match token {
                Token::Word(word) => {
                    self.check_word(word);
                    match (word.as_str(), rest) {
                        ("crate" | "self" | "super" | "tidings", [Token::Then, ..])
                            if !after_path =>
                        {
                            self.check_path(&tokens[i..], module.to_vec());
                        }
                        // What is below it would go unseen.
                        ("crate", [Token::Word(next), ..]) if next == "as" => {
                            self.report("gives the crate another name".to_owned());
                        }
                        ("extern", [Token::Word(next), ..]) if next == "crate" => {
                            self.report("has an `extern crate`".to_owned());
                        }
                        ("mod", [Token::Word(name), ..]) => self.check_module_name(name),
                        _ => {}
                    }
                }
                Token::Braces(inner) => match &tokens[..i] {
                    [.., Token::Word(word), Token::Word(name)] if word == "mod" => {
                        self.check(inner, &[module, std::slice::from_ref(name)].concat());
                    }
                    _ => self.check(inner, module),
                },
                Token::Group(inner) => self.check(inner, module),
                Token::Then | Token::Comma | Token::Star | Token::Other => {}
            }
        }
    }

    /// Follows a path, or a tree of them, from the module `at` until it has left
    /// the crate's root.
    fn check_path(&mut self, mut tokens: &[Token], mut at: Vec<String>) {
        loop {
            match tokens {
                [Token::Word(word), ..] => match word.as_str() {
                    "crate" | "tidings" => at.clear(),
                    "self" => {}
                    "super" if at.is_empty() => {
                        return self.report("leaves the crate with `super`".to_owned());
                    }
                    "super" => drop(at.pop()),
                    name if at.is_empty() => return self.check_arrow(name),
                    _ => return,
                },
                [Token::Star, ..] if at.is_empty() => {
                    return self.report("imports all layers with `*`".to_owned());
                }
                [Token::Braces(inner), ..] => {
                    for branch in inner.split(|token| matches!(token, Token::Comma)) {
                        self.check_path(branch, at.clone());
                    }
                    return;
                }
                _ => return,
            }
            match tokens {
                [_, Token::Then, rest @ ..] => tokens = rest,
                [_, Token::Word(next), ..] if next == "as" && at.is_empty() => {
                    return self.report("gives the crate another name".to_owned());
                }
                _ => return,
            }
        }
    }

    fn check_arrow(&mut self, name: &str) {
        if name != self.layer && !self.below.contains(&name) {
            self.report(format!("`{}` names `crate::{name}`", self.layer));
        }
    }

    fn check_word(&mut self, word: &str) {
        let is_of = |names: &[&str]| {
            names.iter().any(|name| {
                word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            })
        };
        if self.layer != "store" && is_of(DATABASE) {
            self.report(format!("`{word}` is for the store alone"));
        }
        if self.layer == "domain" && is_of(IMPURE) {
            self.report(format!("`{word}` has no place in the domain"));
        }
    }

    fn check_module_name(&mut self, name: &str) {
        if VAGUE.contains(&name) {
            self.report(format!("a module is called `{name}`"));
        }
    }
}

#[test]
fn arrows_that_point_up_are_found_however_they_are_written() {
    for (path, text, what) in [
        ("domain/id.rs", "use crate::store::Store;", "`domain` names `crate::store`"),
        ("store/a.rs", "use crate::{domain::id, engine::{self, Clock}};", "`crate::engine`"),
        ("store/a.rs", "use {std::fmt, crate::{domain, sender}};", "`crate::sender`"),
        ("grpc/a.rs", "fn f() -> crate::store::Store { todo!() }", "`crate::store`"),
        ("grpc/a.rs", "fn f() { log!(\"{}\", crate::engine::X); }", "`crate::engine`"),
        ("grpc/a.rs", "macro_rules! m { () => { $crate::sender::x() }; }", "`crate::sender`"),
        ("grpc/mod.rs", "use super::engine::Engine;", "`crate::engine`"),
        ("grpc/a.rs", "use super::{b, super::engine::Engine};", "`crate::engine`"),
        ("grpc/convert/a.rs", "use super::super::super::store::Store;", "`crate::store`"),
        ("grpc/a.rs", "mod tests { use self::super::super::super::store; }", "`crate::store`"),
        ("grpc/a.rs", "use super::super::super::x;", "leaves the crate"),
        ("engine/a.rs", "use crate::r#service::Services;", "`crate::service`"),
        ("engine/a.rs", "use crate::*;", "with `*`"),
        ("engine/a.rs", "use crate as tidings;", "another name"),
        ("engine/a.rs", "use crate::{self as all};", "another name"),
        ("engine/a.rs", "use super::super::{self as all};", "another name"),
        ("engine/a.rs", "extern crate self as all;", "extern crate"),
        ("server/mod.rs", "use crate::cli;", "`crate::cli`"),
        ("cli/a.rs", "use crate::service::Services;", "`crate::service`"),
        ("main.rs", "fn main() { tidings::server::run() }", "`crate::server`"),
        ("console/mod.rs", "", "`console` is no layer"),
    ] {
        let found = violations(path, text);
        assert!(found.len() == 1 && found[0].contains(what), "{path}: {text}: {found:?}");
    }
}

#[test]
fn other_violations_are_found() {
    let long = "\n".repeat(LINES + 1);
    for (path, text, what) in [
        ("service/a.rs", "use sea_orm::DbErr;", "`sea_orm` is for the store"),
        ("service/a.rs", "fn f(e: sea_orm_migration::E) {}", "`sea_orm_migration`"),
        ("service/a.rs", "fn f() { m!(sqlx::query) }", "`sqlx`"),
        ("domain/a.rs", "use std::time::{Duration, SystemTime};", "`SystemTime`"),
        ("domain/a.rs", "use tokio_util::sync::CancellationToken;", "`tokio_util`"),
        ("domain/a.rs", "#[tokio::test] async fn a() {}", "`tokio`"),
        ("domain/utils/a.rs", "", "called `utils`"),
        ("domain/a.rs", "mod helpers { }", "called `helpers`"),
        ("domain/mod.rs", "pub mod models;", "called `models`"),
        ("store/a.rs", "fn f( {", "is no Rust"),
        ("store/a.rs", &long, "has 401 lines"),
    ] {
        let found = violations(path, text);
        assert!(found.len() == 1 && found[0].contains(what), "{path}: {text}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_let_through() {
    for (path, text) in [
        ("store/writer/a.rs", "use crate::{domain::id, store::rows}; use sea_orm::DbErr;"),
        ("store/writer/a.rs", "pub(in crate::store) struct A; pub(crate) struct B;"),
        ("store/writer/mod.rs", "use super::{rows, super::domain};"),
        ("store/a.rs", "mod tests { use super::*; use super::super::rows; }"),
        ("service/a.rs", "// crate::grpc, sqlx\n/// [`crate::grpc`]\nconst A: &str = \"sqlx::x\";"),
        ("service/a.rs", "fn f(s: &'static str) -> char { s::crate_name(); '{' }"),
        ("grpc/a.rs", "fn f() { let instant = other::crate_::store::x(); self.store() }"),
        ("domain/a.rs", "use std::time::Duration; struct TokioLike; fn sqlxx() {}"),
        ("lib.rs", "pub mod cli; pub mod store;"),
        ("main.rs", "fn main() { tidings::cli::main() }"),
        ("cli/serve.rs", "use crate::{grpc::proto, server::Server, store::Store};"),
    ] {
        assert_eq!(violations(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
