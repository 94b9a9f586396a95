//! Putting routes together: each behind the gate that the table of permissions gives it.

use std::{collections::HashSet, marker::PhantomData};

use axum::{
    Router,
    handler::Handler,
    middleware,
    routing::{MethodFilter, any, on},
};
use http::Method;

use super::{
    Facades,
    access::{self, ACCESS},
    gate::{Gate, Refuse, admit},
    refusal::Cause,
};
use crate::service::Services;

/// The routes of a dialect, which refuses by `R`.
pub(super) struct Routes<R> {
    services: Services,
    router: Router<Facades>,
    served: Vec<(Method, &'static str)>,
    refusal: PhantomData<R>,
}

/// The routes of a dialect, all of them.
pub(super) struct Dialect {
    pub(super) router: Router<Facades>,
    served: Vec<(Method, &'static str)>,
}

impl<R: Refuse> Routes<R> {
    pub(super) fn new(services: &Services) -> Self {
        let services = services.clone();
        Self { services, router: Router::new(), served: Vec::new(), refusal: PhantomData }
    }

    /// Serves a method of a path to those whom the table lets through.
    pub(super) fn serve<H, T>(self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Facades>,
        T: 'static,
    {
        self.mount(method, path, false, handler)
    }

    /// The same for browsers that cannot send headers: the token, and the tenant, may be in the query
    /// too.
    pub(super) fn serve_with_query_token<H, T>(
        self,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Facades>,
        T: 'static,
    {
        self.mount(method, path, true, handler)
    }

    fn mount<H, T>(
        mut self,
        method: Method,
        path: &'static str,
        reads_query: bool,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Facades>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone());
        if let (Some(access), Ok(filter)) = (access::of(&method, path), filter) {
            let gate = Gate { services: self.services.clone(), access, reads_query };
            let gate = middleware::from_fn_with_state(gate, admit::<R>);
            self.router = self.router.route(path, on(filter, handler).route_layer(gate));
        }
        // What is not in the table is noted, so that the server does not start.
        self.served.push((method, path));
        self
    }

    /// Answers at these paths that there is nothing.
    pub(super) fn nothing_at<const N: usize>(mut self, paths: [&str; N]) -> Self {
        for path in paths {
            let nothing = any(|| async { R::from(Cause::NotFound) });
            self.router = self.router.route(path, nothing);
        }
        self
    }

    /// All routes; other methods of their paths are refused.
    pub(super) fn finish(self) -> Dialect {
        let router = self.router.method_not_allowed_fallback(|| async { R::from(Cause::Method) });
        Dialect { router, served: self.served }
    }
}

impl Dialect {
    /// Puts layers around all routes.
    pub(super) fn layered(self, layer: impl FnOnce(Router<Facades>) -> Router<Facades>) -> Self {
        Self { router: layer(self.router), ..self }
    }

    /// Notes that one of the layers answers that route.
    pub(super) fn answered_by_layer(mut self, method: Method, path: &'static str) -> Self {
        self.served.push((method, path));
        self
    }
}

/// Compares what is served with the table of permissions.
///
/// # Errors
///
/// In words, a route that is in one of them only, or is served twice.
pub(super) fn check(dialects: &[Dialect]) -> Result<(), String> {
    let listed: HashSet<_> = ACCESS.iter().map(|(method, path, _)| (method, *path)).collect();
    let mut served = HashSet::new();
    for (method, path) in dialects.iter().flat_map(|dialect| &dialect.served) {
        if !listed.contains(&(method, *path)) {
            return Err(format!("{method} {path} is not in the table of permissions"));
        }
        if !served.insert((method, *path)) {
            return Err(format!("{method} {path} is served twice"));
        }
    }
    match listed.difference(&served).next() {
        Some((method, path)) => Err(format!("{method} {path} has a permission and no handler")),
        None => Ok(()),
    }
}
