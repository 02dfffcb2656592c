//! Which request gets which answer.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cart::{Cart, CartError, Carts, Session};
use crate::catalogue;
use crate::common::http::{Request, Response};
use crate::common::json::Json;

/// Everything the API remembers.
#[derive(Default)]
pub struct Shop {
    carts: Mutex<Carts>,
    orders: AtomicU32,
}

impl Shop {
    pub fn answer(&self, request: &Request) -> Response {
        let result = match (request.head.method.as_str(), request.head.path.as_str()) {
            ("GET" | "HEAD", "/catalogue") => Ok(Response::json(200, &catalogue::to_json())),
            ("GET" | "HEAD", "/cart") => self.show_cart(request),
            ("POST", "/cart") => self.add_to_cart(request),
            ("POST", "/checkout") => self.check_out(request),
            (_, "/catalogue") => Err(Response::method_not_allowed("GET, HEAD")),
            (_, "/cart") => Err(Response::method_not_allowed("GET, HEAD, POST")),
            (_, "/checkout") => Err(Response::method_not_allowed("POST")),
            (method, path) => match path.strip_prefix("/catalogue/") {
                Some(id) => show_product(method, id),
                None => Err(Response::error(404, "there is nothing at this path")),
            },
        };
        result.unwrap_or_else(|refusal| refusal)
    }

    fn show_cart(&self, request: &Request) -> Result<Response, Response> {
        let cart = self.carts().get(&session(request)?);
        Ok(Response::json(200, &Json::object(cart.members())))
    }

    fn add_to_cart(&self, request: &Request) -> Result<Response, Response> {
        let session = session(request)?;
        let (product, quantity) = item(&body(request)?)?;
        let cart = self.carts().add(session, product, quantity).map_err(unprocessable)?;
        Ok(Response::json(200, &Json::object(cart.members())))
    }

    /// With `{"items":[…]}` the order is for those items; without a body it is
    /// for the cart of the session, which is empty afterwards.
    fn check_out(&self, request: &Request) -> Result<Response, Response> {
        let cart = if request.body.is_empty() {
            self.carts().take(&session(request)?)
        } else {
            cart_of(&body(request)?)?
        };
        if cart.is_empty() {
            return Err(Response::error(422, "the cart is empty"));
        }
        let [items, total, currency] = cart.members();
        let order = Json::from(self.next_order().as_str());
        Ok(Response::json(201, &Json::object([("order", order), items, total, currency])))
    }

    /// Unique among replicas that start and count on their own.
    fn next_order(&self) -> String {
        let number = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
        let millis =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        format!("{millis:x}-{:x}-{number:x}", process::id())
    }

    fn carts(&self) -> MutexGuard<'_, Carts> {
        self.carts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show_product(method: &str, id: &str) -> Result<Response, Response> {
    if !matches!(method, "GET" | "HEAD") {
        return Err(Response::method_not_allowed("GET, HEAD"));
    }
    let product = id.parse().ok().and_then(catalogue::find);
    let product = product.ok_or_else(|| Response::error(404, "there is no such product"))?;
    Ok(Response::json(200, &product.to_json()))
}

fn session(request: &Request) -> Result<Session, Response> {
    let name = request.head.headers.get("x-session").unwrap_or_default();
    let problem = "the x-session header must name the session: 1 to 64 letters, digits, `-` or `_`";
    Session::parse(name).ok_or_else(|| Response::error(400, problem))
}

fn body(request: &Request) -> Result<Json, Response> {
    let text = std::str::from_utf8(&request.body)
        .map_err(|_| Response::error(400, "the body is not UTF-8"))?;
    Json::parse(text).map_err(|error| Response::error(400, &error.to_string()))
}

fn item(json: &Json) -> Result<(u32, u32), Response> {
    let field = |name| json.get(name).and_then(Json::as_u32);
    field("product").zip(field("quantity")).ok_or_else(|| {
        Response::error(422, "expected an object with whole numbers `product` and `quantity`")
    })
}

fn cart_of(json: &Json) -> Result<Cart, Response> {
    let items = json.get("items").and_then(Json::as_list);
    let items = items.ok_or_else(|| {
        Response::error(422, "expected an object with a list `items`, or no body")
    })?;
    let mut cart = Cart::default();
    for (product, quantity) in items.iter().map(item).collect::<Result<Vec<_>, _>>()? {
        cart.add(product, quantity).map_err(unprocessable)?;
    }
    Ok(cart)
}

fn unprocessable(error: CartError) -> Response {
    Response::error(422, &error.message())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::http::Head;

    fn send(shop: &Shop, line: &str, session: &str, body: &str) -> (u16, Json) {
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: a\r\nx-session: {session}\r\ncontent-length: {length}\r\n\r\n"
        );
        let (head, _) = Head::parse(head.as_bytes()).unwrap().unwrap();
        let response = shop.answer(&Request { head, body: body.as_bytes().to_vec() });
        (response.status, Json::parse(std::str::from_utf8(&response.body).unwrap()).unwrap())
    }

    fn total(answer: &Json) -> Option<u32> {
        answer.get("total_cents").and_then(Json::as_u32)
    }

    #[test]
    fn the_catalogue_and_each_of_its_products_can_be_read() {
        let shop = Shop::default();
        let (status, answer) = send(&shop, "GET /catalogue", "", "");
        let products = answer.get("products").and_then(Json::as_list).unwrap();
        assert_eq!((status, products.len()), (200, catalogue::PRODUCTS.len()));
        for product in products {
            let id = product.get("id").and_then(Json::as_u32).unwrap();
            assert_eq!(
                send(&shop, &format!("GET /catalogue/{id}"), "", ""),
                (200, product.clone())
            );
        }
    }

    #[test]
    fn a_cart_becomes_an_order_once() {
        let shop = Shop::default();
        send(&shop, "POST /cart", "s1", r#"{"product":1,"quantity":2}"#);
        let (status, cart) = send(&shop, "POST /cart", "s1", r#"{"product":2,"quantity":1}"#);
        assert_eq!((status, total(&cart)), (200, Some(6_100)));
        assert_eq!(send(&shop, "GET /cart", "s1", ""), (200, cart));
        let (status, order) = send(&shop, "POST /checkout", "s1", "");
        assert_eq!((status, total(&order)), (201, Some(6_100)));
        assert_eq!(send(&shop, "POST /checkout", "s1", "").0, 422);
    }

    #[test]
    fn a_checkout_may_bring_its_items_and_needs_no_session() {
        let shop = Shop::default();
        let items = r#"{"items":[{"product":1,"quantity":1},{"product":1,"quantity":1}]}"#;
        let (first, second) =
            (send(&shop, "POST /checkout", "", items), send(&shop, "POST /checkout", "", items));
        assert_eq!((first.0, total(&first.1)), (201, Some(1_900)));
        assert_ne!(first.1.get("order"), second.1.get("order"));
    }

    #[test]
    fn wrong_requests_get_the_status_that_says_why() {
        let cases = [
            ("GET /nothing", "s1", "", 404),
            ("GET /catalogue/", "s1", "", 404),
            ("GET /catalogue/7", "s1", "", 404),
            ("GET /catalogue/%31", "s1", "", 404),
            ("DELETE /catalogue", "s1", "", 405),
            ("POST /catalogue/1", "s1", "", 405),
            ("PUT /cart", "s1", "", 405),
            ("GET /checkout", "s1", "", 405),
            ("GET /cart", "", "", 400),
            ("POST /cart", "a b", r#"{"product":1,"quantity":1}"#, 400),
            ("POST /cart", "s1", "", 400),
            ("POST /cart", "s1", "{", 400),
            ("POST /cart", "s1", "[]", 422),
            ("POST /cart", "s1", r#"{"product":"1","quantity":1}"#, 422),
            ("POST /cart", "s1", r#"{"product":1}"#, 422),
            ("POST /cart", "s1", r#"{"product":1,"quantity":0}"#, 422),
            ("POST /cart", "s1", r#"{"product":1,"quantity":1.5}"#, 422),
            ("POST /cart", "s1", r#"{"product":99,"quantity":1}"#, 422),
            ("POST /checkout", "s1", r#"{"items":[]}"#, 422),
            ("POST /checkout", "s1", r#"{"items":[1]}"#, 422),
            ("POST /checkout", "s1", r#"{"item":[]}"#, 422),
        ];
        let shop = Shop::default();
        for (line, session, body, expected) in cases {
            let (status, answer) = send(&shop, line, session, body);
            let told =
                answer.get("error").and_then(|error| error.get("status")).and_then(Json::as_u32);
            assert_eq!((status, told), (expected, Some(u32::from(expected))), "{line} {body}");
        }
    }
}
