//! What the web front asks of the API, and what it makes of the answers.

use std::str;

use crate::client::{Answer, CallError, Client};
use crate::common::http::Response;
use crate::common::json::Json;

/// A product as the API describes it.
#[derive(Debug, PartialEq)]
pub struct Product {
    pub id: u32,
    pub name: String,
    pub blurb: String,
    pub price_cents: u32,
}

/// The API's products, or the answer to give instead.
pub fn catalogue(client: &Client) -> Result<Vec<Product>, Response> {
    let json = expect(200, client.get("/catalogue"))?;
    let products = json.get("products").and_then(Json::as_list);
    let products = products.and_then(|list| list.iter().map(product_of).collect());
    products.ok_or_else(|| bad_gateway("its catalogue is not what was expected"))
}

/// One product, or the answer to give instead.
pub fn product(client: &Client, id: u32) -> Result<Product, Response> {
    let json = expect(200, client.get(&format!("/catalogue/{id}")))?;
    product_of(&json).ok_or_else(|| bad_gateway("its product is not what was expected"))
}

/// Orders one product. The items travel with the checkout, because a cart
/// would live in just one of the API's replicas.
pub fn buy(client: &Client, product: u32, quantity: u32) -> Result<Json, Response> {
    let item = Json::object([("product", Json::from(product)), ("quantity", Json::from(quantity))]);
    let body = Json::object([("items", Json::List(vec![item]))]).to_string();
    expect(201, client.post("/checkout", &body))
}

/// The JSON of an answer with this status. The client's own mistakes (4xx) are
/// passed on to it; everything else is a failure of the API: 502.
fn expect(status: u16, result: Result<Answer, CallError>) -> Result<Json, Response> {
    let answer = result.map_err(|error| bad_gateway(&error.to_string()))?;
    let text = str::from_utf8(&answer.body).ok();
    let json = text.and_then(|text| Json::parse(text).ok());
    match (answer.status, json) {
        (got, Some(json)) if got == status => Ok(json),
        (got, Some(json)) if matches!(got, 404 | 422) => Err(Response::json(got, &json)),
        (got, None) if got == status => Err(bad_gateway("its answer is not JSON")),
        (got, _) => Err(bad_gateway(&format!("it answered {got}"))),
    }
}

fn bad_gateway(why: &str) -> Response {
    Response::error(502, &format!("the api failed: {why}"))
}

fn product_of(json: &Json) -> Option<Product> {
    let text = |name| match json.get(name) {
        Some(Json::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |name| json.get(name).and_then(Json::as_u32);
    Some(Product {
        id: number("id")?,
        name: text("name")?,
        blurb: text("blurb")?,
        price_cents: number("price_cents")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Result<Answer, CallError> {
        Ok(Answer { status, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn mistakes_of_the_client_pass_and_failures_become_502() {
        let json = || Json::object([]);
        assert_eq!(expect(200, answered(200, "{}")).unwrap(), json());
        for (status, body, expected) in [
            (404, "{}", 404),
            (422, "{}", 422),
            (404, "<html>", 502),
            (500, "{}", 502),
            (200, "<html>", 502),
            (201, "{}", 502),
        ] {
            assert_eq!(
                expect(200, answered(status, body)).unwrap_err().status,
                expected,
                "{status} {body}"
            );
        }
        assert_eq!(expect(200, Err(CallError::Malformed("x"))).unwrap_err().status, 502);
    }

    #[test]
    fn a_product_needs_all_its_fields() {
        let whole = r#"{"id":1,"name":"Mug","blurb":"b","price_cents":950}"#;
        let product = Product { id: 1, name: "Mug".into(), blurb: "b".into(), price_cents: 950 };
        assert_eq!(product_of(&Json::parse(whole).unwrap()), Some(product));
        assert_eq!(
            product_of(&Json::parse(r#"{"id":1,"name":2,"blurb":"b","price_cents":950}"#).unwrap()),
            None
        );
    }
}
