//! What the shop sells.

use crate::common::json::Json;

/// A product; prices are in cents of [`CURRENCY`].
#[derive(Debug)]
pub struct Product {
    pub id: u32,
    pub name: &'static str,
    pub blurb: &'static str,
    pub price_cents: u32,
}

pub const CURRENCY: &str = "EUR";
pub const PRICE_CENTS_MAX: u32 = 100_000;

pub static PRODUCTS: [Product; 6] = [
    Product { id: 1, name: "Mug", blurb: "Holds a third of a litre", price_cents: 950 },
    Product { id: 2, name: "Teapot", blurb: "Cast iron, pours without a drop", price_cents: 4_200 },
    Product {
        id: 3,
        name: "Salt & pepper mill",
        blurb: "Two in one, ceramic grinder",
        price_cents: 2_875,
    },
    Product { id: 4, name: "Bread knife", blurb: "Serrated, 22 cm", price_cents: 3_150 },
    Product { id: 5, name: "Cutting board", blurb: "Oak, oiled", price_cents: 2_400 },
    Product { id: 6, name: "Kitchen scale", blurb: "Up to 5 kg, by the gram", price_cents: 3_999 },
];

pub fn find(id: u32) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}

pub fn to_json() -> Json {
    let products = PRODUCTS.iter().map(Product::to_json).collect();
    Json::object([("currency", Json::from(CURRENCY)), ("products", Json::List(products))])
}

impl Product {
    pub fn to_json(&self) -> Json {
        Json::object([
            ("id", Json::from(self.id)),
            ("name", Json::from(self.name)),
            ("blurb", Json::from(self.blurb)),
            ("price_cents", Json::from(self.price_cents)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_prices_in_bounds() {
        for product in &PRODUCTS {
            assert!(
                std::ptr::eq(find(product.id).unwrap(), product),
                "{} is ambiguous",
                product.id
            );
            assert!((1..=PRICE_CENTS_MAX).contains(&product.price_cents), "{}", product.name);
        }
        assert!(find(0).is_none());
    }
}
