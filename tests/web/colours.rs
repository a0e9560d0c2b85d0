//! The switch for light and dark, without a script.

use super::client::{Client, dashboard};
use crate::support::Server;

fn chosen(client: &Client, theme: &str, back: &str) -> (u16, String, String) {
    let answer = client.post("/theme", &[("theme", theme), ("back", back)]);
    let header = |name| answer.header(name).unwrap_or_default().to_owned();
    (answer.status, header("location"), header("set-cookie"))
}

#[test]
fn a_choice_of_colours_is_kept_and_leads_back() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    let page = person.get("/jobs?status=failed").expect(200);
    page.shows("<html lang=\"en\"><head>");
    page.shows("name=\"back\" value=\"/jobs?status=failed\"");
    page.shows("value=\"system\" aria-pressed=\"true\"");
    let (status, to, cookie) = chosen(&person, "dark", "/jobs?status=failed");
    assert_eq!((status, to.as_str()), (303, "/jobs?status=failed"));
    assert!(
        cookie.starts_with(
            "acquire_outbox_theme=dark; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
        ),
        "{cookie}"
    );
    let dark = person.clone().with("cookie", "acquire_outbox_theme=dark");
    for path in ["/", "/jobs", "/pauses", "/nothing", "/jobs/404"] {
        let page = dark.get(path);
        page.shows("<html lang=\"en\" data-theme=\"dark\">");
        page.shows("name=\"color-scheme\" content=\"dark\"");
        page.shows("value=\"dark\" aria-pressed=\"true\"");
    }
    let (.., cookie) = chosen(&dark, "system", "/");
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
}

#[test]
fn the_switch_is_on_the_login_page_and_another_site_cannot_use_it() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let browser = client.clone().browser();
    browser.get("/login").expect(200).shows("action=\"/theme\"");
    assert_eq!(chosen(&browser, "light", "/login").0, 303);
    assert_eq!(chosen(&browser, "pink", "/login").0, 400);
    assert_eq!(chosen(&browser, "light", "//evil.example.com").1, "/");
    let foreign = client.with("origin", "https://evil.example.com");
    assert_eq!(chosen(&foreign, "dark", "/").0, 403);
    browser
        .with("cookie", "acquire_outbox_theme=\"><script>")
        .get("/login")
        .expect(200)
        .hides("<script>\"");
}
