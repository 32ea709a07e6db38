//! Routes as they are put together: none is served without being listed, so that what is served can be compared with the table of
//! who may do what ([`crate::access`]) and with the API's document.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use http::Method;

use crate::Api;

/// A router that remembers what it serves.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Api>,
    served: Vec<(Method, String)>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn on<T: 'static>(mut self, method: Method, filter: MethodFilter, path: &str, handler: impl Handler<T, Api>) -> Self {
        self.router = self.router.route(path, on(filter, handler));
        self.served.push((method, path.to_owned()));
        self
    }

    pub(crate) fn get<T: 'static>(self, path: &str, handler: impl Handler<T, Api>) -> Self {
        self.on(Method::GET, MethodFilter::GET, path, handler)
    }

    pub(crate) fn post<T: 'static>(self, path: &str, handler: impl Handler<T, Api>) -> Self {
        self.on(Method::POST, MethodFilter::POST, path, handler)
    }

    pub(crate) fn put<T: 'static>(self, path: &str, handler: impl Handler<T, Api>) -> Self {
        self.on(Method::PUT, MethodFilter::PUT, path, handler)
    }

    pub(crate) fn patch<T: 'static>(self, path: &str, handler: impl Handler<T, Api>) -> Self {
        self.on(Method::PATCH, MethodFilter::PATCH, path, handler)
    }

    pub(crate) fn delete<T: 'static>(self, path: &str, handler: impl Handler<T, Api>) -> Self {
        self.on(Method::DELETE, MethodFilter::DELETE, path, handler)
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.served.extend(other.served);
        self
    }

    /// Every method and path that is served; `{name}` stands for one segment.
    pub(crate) fn served(&self) -> &[(Method, String)] {
        &self.served
    }

    pub(crate) fn into_router(self) -> Router<Api> {
        self.router
    }
}
