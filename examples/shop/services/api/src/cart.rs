//! Carts by session, and what they add up to.

use std::collections::{HashMap, VecDeque};

use crate::catalogue::{self, CURRENCY, PRICE_CENTS_MAX, PRODUCTS};
use crate::common::json::Json;

/// Pieces of one product in one cart.
pub const QUANTITY_MAX: u32 = 99;
/// Carts kept; the oldest one goes when another session begins.
pub const SESSIONS_MAX: usize = 10_000;
const SESSION_BYTES_MAX: usize = 64;

const _: () = assert!(
    PRODUCTS.len() as u64 * QUANTITY_MAX as u64 * PRICE_CENTS_MAX as u64 <= u32::MAX as u64,
    "the total of a full cart must fit"
);

/// A client's name for its cart: 1 to 64 of `A-Z a-z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session(String);

impl Session {
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        ((1..=SESSION_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed))
            .then(|| Self(text.to_owned()))
    }
}

/// Why something does not go into a cart.
#[derive(Debug, PartialEq)]
pub enum CartError {
    UnknownProduct(u32),
    /// Zero, or more than [`QUANTITY_MAX`] pieces with those already there.
    Quantity,
}

impl CartError {
    pub fn message(&self) -> String {
        match self {
            Self::UnknownProduct(id) => format!("there is no product {id}"),
            Self::Quantity => format!("the quantity of a product must be from 1 to {QUANTITY_MAX}"),
        }
    }
}

/// Products and how many of each, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cart {
    lines: Vec<(u32, u32)>,
}

impl Cart {
    /// Adds `quantity` pieces of a product; refused, the cart stays as it was.
    pub fn add(&mut self, product: u32, quantity: u32) -> Result<(), CartError> {
        let product = catalogue::find(product).ok_or(CartError::UnknownProduct(product))?.id;
        let line = self.lines.iter_mut().find(|(id, _)| *id == product);
        let present = line.as_ref().map_or(0, |(_, quantity)| *quantity);
        let sum = present.checked_add(quantity).filter(|&sum| quantity > 0 && sum <= QUANTITY_MAX);
        let sum = sum.ok_or(CartError::Quantity)?;
        match line {
            Some((_, quantity)) => *quantity = sum,
            None => self.lines.push((product, sum)),
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn total_cents(&self) -> u32 {
        let price = |id| catalogue::find(id).map_or(0, |product| product.price_cents);
        self.lines.iter().map(|&(id, quantity)| price(id) * quantity).sum()
    }

    /// The members `items`, `total_cents` and `currency`.
    pub fn members(&self) -> [(&'static str, Json); 3] {
        let line = |&(id, quantity): &(u32, u32)| {
            Json::object([("product", Json::from(id)), ("quantity", Json::from(quantity))])
        };
        [
            ("items", Json::List(self.lines.iter().map(line).collect())),
            ("total_cents", Json::from(self.total_cents())),
            ("currency", Json::from(CURRENCY)),
        ]
    }
}

/// The carts of all sessions.
#[derive(Debug, Default)]
pub struct Carts {
    by_session: HashMap<Session, Cart>,
    /// Sessions by age; may name some that have checked out since.
    ages: VecDeque<Session>,
}

impl Carts {
    /// Adds to the cart of a session and returns it as it is now.
    pub fn add(
        &mut self,
        session: Session,
        product: u32,
        quantity: u32,
    ) -> Result<Cart, CartError> {
        let mut cart = self.get(&session);
        cart.add(product, quantity)?;
        if self.by_session.insert(session.clone(), cart.clone()).is_none() {
            self.ages.push_back(session);
            self.forget_oldest();
        }
        Ok(cart)
    }

    /// The cart of a session, empty when there is none.
    pub fn get(&self, session: &Session) -> Cart {
        self.by_session.get(session).cloned().unwrap_or_default()
    }

    /// Takes the cart away, for checkout.
    pub fn take(&mut self, session: &Session) -> Cart {
        self.by_session.remove(session).unwrap_or_default()
    }

    fn forget_oldest(&mut self) {
        while self.ages.len() > SESSIONS_MAX {
            if let Some(oldest) = self.ages.pop_front() {
                self.by_session.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> Session {
        Session::parse(name).unwrap()
    }

    #[test]
    fn session_names_are_bounded() {
        for bad in ["", "a b", "a/b", "\u{e9}", &"a".repeat(SESSION_BYTES_MAX + 1)] {
            assert_eq!(Session::parse(bad), None, "{bad:?}");
        }
        assert!(Session::parse(&"a".repeat(SESSION_BYTES_MAX)).is_some());
    }

    #[test]
    fn a_cart_adds_up() {
        let mut cart = Cart::default();
        for (product, quantity) in [(1, 2), (2, 1), (1, 3)] {
            cart.add(product, quantity).unwrap();
        }
        assert_eq!(cart.lines, [(1, 5), (2, 1)]);
        assert_eq!(cart.total_cents(), 5 * 950 + 4_200);
    }

    #[test]
    fn what_does_not_fit_leaves_the_cart_alone() {
        let mut cart = Cart::default();
        cart.add(1, QUANTITY_MAX).unwrap();
        let before = cart.clone();
        assert_eq!(cart.add(1, 1), Err(CartError::Quantity));
        assert_eq!(cart.add(1, u32::MAX), Err(CartError::Quantity));
        assert_eq!(cart.add(2, 0), Err(CartError::Quantity));
        assert_eq!(cart.add(7, 1), Err(CartError::UnknownProduct(7)));
        assert_eq!(cart, before);
    }

    #[test]
    fn carts_are_apart_and_end_with_checkout() {
        let mut carts = Carts::default();
        carts.add(session("a"), 1, 1).unwrap();
        carts.add(session("b"), 2, 1).unwrap();
        assert_eq!(carts.take(&session("a")).total_cents(), 950);
        assert!(carts.get(&session("a")).is_empty());
        assert_eq!(carts.get(&session("b")).total_cents(), 4_200);
    }

    #[test]
    fn old_carts_make_room() {
        let mut carts = Carts::default();
        for number in 0..=SESSIONS_MAX {
            carts.add(session(&format!("s{number}")), 1, 1).unwrap();
        }
        assert_eq!((carts.by_session.len(), carts.ages.len()), (SESSIONS_MAX, SESSIONS_MAX));
        assert!(carts.get(&session("s0")).is_empty());
        assert!(!carts.get(&session("s1")).is_empty());
    }
}
