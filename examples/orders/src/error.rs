//! What a request can fail with.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

#[derive(Debug)]
pub(crate) enum Error {
    /// The client's mistake.
    Invalid(&'static str),
    Unknown,
    /// The id of another order.
    Taken,
    Database(sqlx::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(why) => f.write_str(why),
            Error::Unknown => f.write_str("no such order"),
            Error::Taken => f.write_str("another order has this id"),
            Error::Database(error) => write!(f, "database: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Error::Database(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Unknown => StatusCode::NOT_FOUND,
            Error::Taken => StatusCode::CONFLICT,
            Error::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}
