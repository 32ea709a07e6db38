//! Redfish error answers: a status and one message of the registry `Base`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Why the BMC did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    message_id: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message_id: &'static str, message: impl Into<String>) -> Self {
        Self { status, message_id, message: message.into() }
    }

    pub fn missing(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceMissingAtURI", format!("The resource at the URI '{path}' was not found."))
    }

    pub fn no_session() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "NoValidSession", "There is no valid session established with the implementation.")
    }

    pub fn wrong_credentials() -> Self {
        let text = "While accessing the resource, the service received an authorization error: wrong user name or password.";
        Self::new(StatusCode::UNAUTHORIZED, "ResourceAtUriUnauthorized", text)
    }

    pub fn too_many_sessions() -> Self {
        let text = "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SessionLimitExceeded", text)
    }

    pub fn malformed(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedJSON", format!("The request body could not be read: {why}"))
    }

    pub fn missing_property(name: &str) -> Self {
        let text = format!("The property {name} is a required property and must be included in the request.");
        Self::new(StatusCode::BAD_REQUEST, "PropertyMissing", text)
    }

    pub fn unknown_property(name: &str) -> Self {
        let text = format!("The property {name} is not in the list of valid properties for the resource.");
        Self::new(StatusCode::BAD_REQUEST, "PropertyUnknown", text)
    }

    pub fn wrong_value(name: &str, value: &str) -> Self {
        let text = format!("The value '{value}' for the property {name} is not in the list of acceptable values.");
        Self::new(StatusCode::BAD_REQUEST, "PropertyValueNotInList", text)
    }

    pub fn missing_parameter(action: &str, name: &str) -> Self {
        let text = format!("The action {action} requires the parameter {name} to be present in the request body.");
        Self::new(StatusCode::BAD_REQUEST, "ActionParameterMissing", text)
    }

    pub fn unknown_parameter(action: &str, name: &str) -> Self {
        let text = format!("The action {action} was submitted with the invalid parameter {name}.");
        Self::new(StatusCode::BAD_REQUEST, "ActionParameterUnknown", text)
    }

    pub fn wrong_parameter(action: &str, name: &str, value: &str) -> Self {
        let text = format!("The value '{value}' for the parameter {name} in the action {action} is not in the list of acceptable values.");
        Self::new(StatusCode::BAD_REQUEST, "ActionParameterValueNotInList", text)
    }

    /// The state of the server or the drive does not allow the action.
    pub fn conflict(text: String) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceInUse", text)
    }

    pub fn stale() -> Self {
        let text = "The ETag supplied did not match the ETag required to change this resource.";
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", text)
    }

    /// A fault that a test asked for, and what is said of the request.
    pub fn fault(status: StatusCode, told: &str) -> Self {
        let id = if status.is_server_error() { "ServiceTemporarilyUnavailable" } else { "GeneralError" };
        Self::new(status, id, format!("The service is temporarily unavailable. {told}").trim_end())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let id = format!("Base.1.18.{}", self.message_id);
        let body = json!({ "error": {
            "code": id,
            "message": self.message,
            "@Message.ExtendedInfo": [{
                "@odata.type": "#Message.v1_1_2.Message",
                "MessageId": id,
                "Message": self.message,
                "MessageSeverity": "Warning",
            }],
        }});
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Redfish\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON body, whatever its content type says, that is refused in Redfish's way.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| Refusal::malformed(&rejection.body_text()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Refusal::malformed(&error.to_string()))
    }
}
