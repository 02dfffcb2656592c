//! Which request gets which answer.

use crate::client::Client;
use crate::common::http::{Request, Response};
use crate::common::json::Json;
use crate::{VERSION, api, page};

/// The web front; all it knows is where the API is.
pub struct Front {
    client: Client,
}

impl Front {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    pub fn answer(&self, request: &Request) -> Response {
        let result = match (request.head.method.as_str(), request.head.path.as_str()) {
            ("GET" | "HEAD", "/") => self.catalogue(),
            ("POST", "/buy") => self.buy(request),
            (_, "/") => Err(Response::method_not_allowed("GET, HEAD")),
            (_, "/buy") => Err(Response::method_not_allowed("POST")),
            (method, path) => match path.strip_prefix("/product/") {
                Some(id) => self.product(method, id),
                None => Err(Response::error(404, "there is nothing at this path")),
            },
        };
        result.unwrap_or_else(|refusal| refusal)
    }

    fn catalogue(&self) -> Result<Response, Response> {
        let products = api::catalogue(&self.client)?;
        Ok(html(page::catalogue(&products, VERSION)))
    }

    fn product(&self, method: &str, id: &str) -> Result<Response, Response> {
        if !matches!(method, "GET" | "HEAD") {
            return Err(Response::method_not_allowed("GET, HEAD"));
        }
        let id = id.parse().map_err(|_| Response::error(404, "there is no such product"))?;
        let product = api::product(&self.client, id)?;
        Ok(html(page::product(&product, VERSION)))
    }

    fn buy(&self, request: &Request) -> Result<Response, Response> {
        let text = std::str::from_utf8(&request.body)
            .map_err(|_| Response::error(400, "the body is not UTF-8"))?;
        let json = Json::parse(text).map_err(|error| Response::error(400, &error.to_string()))?;
        let field = |name| json.get(name).and_then(Json::as_u32);
        let (product, quantity) = field("product").zip(field("quantity")).ok_or_else(|| {
            Response::error(422, "expected an object with whole numbers `product` and `quantity`")
        })?;
        Ok(Response::json(201, &api::buy(&self.client, product, quantity)?))
    }
}

fn html(page: String) -> Response {
    Response {
        status: 200,
        content_type: "text/html; charset=utf-8",
        headers: Vec::new(),
        body: page.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ApiUrl;
    use crate::common::http::Head;

    /// Sends to a front whose API nobody serves.
    fn send(line: &str, body: &str) -> u16 {
        let front = Front::new(Client::new(ApiUrl::parse("http://127.0.0.1:1").unwrap()));
        let head = format!("{line} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        let (head, _) = Head::parse(head.as_bytes()).unwrap().unwrap();
        front.answer(&Request { head, body: body.as_bytes().to_vec() }).status
    }

    #[test]
    fn wrong_requests_are_answered_without_the_api() {
        let cases = [
            ("GET /nothing", "", 404),
            ("GET /product/mug", "", 404),
            ("GET /product/-1", "", 404),
            ("DELETE /", "", 405),
            ("POST /product/1", "", 405),
            ("GET /buy", "", 405),
            ("POST /buy", "", 400),
            ("POST /buy", "product=1", 400),
            ("POST /buy", r#"{"product":1}"#, 422),
        ];
        for (line, body, expected) in cases {
            assert_eq!(send(line, body), expected, "{line} {body}");
        }
    }

    #[test]
    fn without_the_api_everything_else_is_502() {
        for (line, body) in
            [("GET /", ""), ("GET /product/1", ""), ("POST /buy", r#"{"product":1,"quantity":1}"#)]
        {
            assert_eq!(send(line, body), 502, "{line}");
        }
    }
}
