//! The pages, as HTML.

use crate::api::Product;

/// All products, each with a button to buy one.
pub fn catalogue(products: &[Product], version: &str) -> String {
    let rows: String = products.iter().map(row).collect();
    page("Catalogue", &format!("<table>\n{rows}</table>"), version)
}

/// One product.
pub fn product(product: &Product, version: &str) -> String {
    let content = format!(
        "<p>{}</p>\n<p>{} {}</p>\n<p><a href=\"/\">All products</a></p>",
        escape(&product.blurb),
        price(product.price_cents),
        buy_button(product.id),
    );
    page(&product.name, &content, version)
}

fn row(product: &Product) -> String {
    format!(
        "<tr><td><a href=\"/product/{id}\">{name}</a></td><td>{price}</td><td>{button}</td></tr>\n",
        id = product.id,
        name = escape(&product.name),
        price = price(product.price_cents),
        button = buy_button(product.id),
    )
}

fn buy_button(id: u32) -> String {
    format!("<button onclick=\"buy({id})\">Buy</button>")
}

fn price(cents: u32) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

fn page(title: &str, content: &str, version: &str) -> String {
    let title = escape(title);
    format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title} - Shop</title></head>
<body>
<h1>{title}</h1>
{content}
<p id="order" role="status"></p>
<footer>web {version}</footer>
{SCRIPT}
</body>
</html>
"#
    )
}

const SCRIPT: &str = r#"<script>
async function buy(product) {
  const body = JSON.stringify({ product, quantity: 1 });
  const answer = await (await fetch('/buy', { method: 'POST', body })).json();
  const text = answer.error ? answer.error.message : 'Ordered: ' + answer.order;
  document.getElementById('order').textContent = text;
}
</script>"#;

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let mill = Product {
            id: 3,
            name: "<b>Salt & \"pepper\"</b>".into(),
            blurb: "'".into(),
            price_cents: 2_805,
        };
        let escaped = "&lt;b&gt;Salt &amp; &quot;pepper&quot;&lt;/b&gt;";
        assert!(
            catalogue(&[mill], "1.0.0")
                .contains(&format!("<a href=\"/product/3\">{escaped}</a></td><td>28.05 EUR</td>"))
        );
    }

    #[test]
    fn a_product_page_has_its_words_and_the_version() {
        let mug =
            Product { id: 1, name: "Mug".into(), blurb: "Isn't small".into(), price_cents: 950 };
        let html = product(&mug, "1.2.3");
        for expected in ["<h1>Mug</h1>", "Isn&#39;t small", "9.50 EUR", "buy(1)", "web 1.2.3"] {
            assert!(html.contains(expected), "{expected} is missing in {html}");
        }
    }
}
