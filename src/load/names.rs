//! Whose connection an error is about: a load has two servers, which may be one, and people know them by their names in etlsched.yaml.

use super::Fault;
use crate::plan::{DestinationPlan, Order, SourcePlan};

/// The end of a load at which something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

/// The names of an order's connections.
#[derive(Debug, Default)]
pub(super) struct Names {
    source: Option<String>,
    destination: Option<String>,
}

impl Names {
    /// Returns those of a load.
    pub(super) fn of(source: &SourcePlan, destination: Option<&DestinationPlan>) -> Self {
        Self { source: source.connection.clone(), destination: destination.map(|plan| plan.name.clone()) }
    }

    /// Returns those of any order.
    pub(super) fn of_order(order: &Order) -> Self {
        let of_destination = |plan: &DestinationPlan| Self { source: None, destination: Some(plan.name.clone()) };
        match order {
            Order::Load(plan) => Self::of(&plan.source, Some(&plan.destination)),
            Order::Test(order) | Order::Discover(order) => Self::of(&order.source, None),
            Order::Preview(order) => Self::of(&order.source, None),
            Order::Inspect(plan) => of_destination(&plan.destination),
            Order::Mend(plan) => of_destination(&plan.destination),
        }
    }

    /// Names the connection in what failed on it.
    pub(super) fn told(&self, mut fault: Fault) -> Fault {
        let (word, name) = match fault.end {
            Some(End::Source) => ("connection", &self.source),
            Some(End::Destination) => ("destination", &self.destination),
            None => return fault,
        };
        let Some(name) = name else { return fault };
        if fault.error.message.starts_with("connect to ") {
            fault.error.message = format!("{word} {name}: {}", fault.error.message);
        }
        fault.error.hint = fault.error.hint.map(|hint| hint.replace("of the connection", &format!("of connection {name}")));
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(end: Option<End>, message: &str, expected: [&str; 2]) {
        let names = Names { source: Some("erp".to_owned()), destination: Some("dwh".to_owned()) };
        let fault = Fault { end, ..Fault::new("login_failed", message).hint("check user and password of the connection") };
        let told = names.told(fault).error;
        assert_eq!([told.message.as_str(), told.hint.as_deref().unwrap()], expected);
    }

    #[test]
    fn an_error_says_which_connection_it_is_about() {
        let refused = "connect to db1:5432/dwh: password authentication failed";
        check(
            Some(End::Source),
            refused,
            ["connection erp: connect to db1:5432/dwh: password authentication failed", "check user and password of connection erp"],
        );
        check(
            Some(End::Destination),
            refused,
            ["destination dwh: connect to db1:5432/dwh: password authentication failed", "check user and password of connection dwh"],
        );
        check(
            Some(End::Source),
            "GET https://api.example.com/: the server answered 401 Unauthorized",
            ["GET https://api.example.com/: the server answered 401 Unauthorized", "check user and password of connection erp"],
        );
        check(None, refused, [refused, "check user and password of the connection"]);
    }
}
