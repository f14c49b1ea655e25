//! The service from outside: what it answers, what it stores, how it ends.

#![cfg(unix)]

#[allow(dead_code, reason = "shared by two tests")]
mod support;

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use rustix::process::Signal;
use support::client::{LONG, answer, ask, cut_off, get, get_json, order, request, stat};
use support::{Service, database, run, until};

#[test]
fn an_order_is_stored_once_and_everything_is_done_for_it() {
    run("once", async |path| {
        let service = Service::start(&path, &[]);
        let address = service.address;
        let post = request("POST", "/orders", "", &order("a", "ann@shop.example", 3));
        assert_eq!(ask(address, &post).await.unwrap(), (201, "a".to_owned()));
        assert_eq!(ask(address, &post).await.unwrap(), (200, "a".to_owned()));
        until(async || {
            let progress = get_json(address, "/orders/a").await;
            progress["rewarded"] == true && progress["notified"] == true
        })
        .await;
        assert_eq!(
            get_json(address, "/orders/a").await["total"],
            2 * (100 + 101 + 102)
        );
        assert_eq!(get(address, "/orders/b").await.0, 404);
        let empty = request("POST", "/orders", "", &order("c", "ann@shop.example", 0));
        assert_eq!(ask(address, &empty).await.unwrap().0, 422);
        let other = request("POST", "/orders", "", &order("a", "bob@shop.example", 1));
        assert_eq!(ask(address, &other).await.unwrap().0, 409);
        let most = json!({"item": "all", "quantity": u32::MAX, "price": u32::MAX});
        let dear = json!({"id": "d", "customer": "bob", "lines": [most]}).to_string();
        let dear = request("POST", "/orders", "", &dear);
        assert_eq!(ask(address, &dear).await.unwrap().0, 422);
        service.stop().await;
        database::check(&path).await;
    });
}

#[test]
fn what_fails_is_tried_again_and_given_up_after_five_times() {
    run("retries", async |path| {
        let service = Service::start(&path, &["--retry-ms", "5"]);
        let address = service.address;
        for (id, customer) in [("busy", "bob@busy.example"), ("nobody", "nobody")] {
            let post = request("POST", "/orders", "", &order(id, customer, 1));
            assert_eq!(ask(address, &post).await.unwrap().0, 201);
        }
        until(async || get_json(address, "/orders/busy").await["notified"] == true).await;
        until(async || get_json(address, "/orders/nobody").await["dead"] == 1).await;
        until(async || get_json(address, "/orders/nobody").await["rewarded"] == true).await;
        service.stop().await;
        let mut database = database::open(&path).await;
        let letters =
            "SELECT attempts FROM dead_letters WHERE task = 'notify' AND why = 'not an address'";
        assert_eq!(database::count(&mut database, letters).await, 5);
        assert_eq!(
            database::count(&mut database, "SELECT count(*) FROM outbox").await,
            0
        );
        database::check(&path).await;
    });
}

#[test]
fn a_client_that_goes_away_has_its_transaction_rolled_back_in_order() {
    run("disconnect", async |path| {
        let service = Service::start(&path, &[]);
        let address = service.address;
        let post = request(
            "POST",
            "/orders",
            "",
            &order("cut", "ann@shop.example", LONG),
        );
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&post).await.unwrap();
        until(async || stat(address, "open_transactions").await == 1).await;
        drop(client);
        until(async || stat(address, "rolled_back").await == 1).await;
        assert_eq!(get(address, "/orders/cut").await.0, 404);
        // The only connection that writes is free again.
        let other = request(
            "POST",
            "/orders",
            "",
            &order("other", "ann@shop.example", 1),
        );
        assert_eq!(ask(address, &other).await.unwrap().0, 201);
        assert_eq!(service.stop().await.rolled_back(), 1);
        database::check(&path).await;
    });
}

#[test]
fn a_request_out_of_time_is_told_so_and_stores_nothing() {
    run("deadline", async |path| {
        let service = Service::start(&path, &[]);
        let address = service.address;
        let body = order("late", "ann@shop.example", LONG);
        let hurried = request("POST", "/orders", "x-timeout-ms: 20\r\n", &body);
        assert_eq!(ask(address, &hurried).await.unwrap().0, 504);
        assert_eq!(get(address, "/orders/late").await.0, 404);
        let patient = request("POST", "/orders", "x-timeout-ms: 60000\r\n", &body);
        assert_eq!(ask(address, &patient).await.unwrap().0, 201);
        service.stop().await;
        database::check(&path).await;
    });
}

#[test]
fn abandoned_carts_are_removed_and_ordered_ones_are_emptied() {
    run("carts", async |path| {
        let service = Service::start(&path, &["--expiry-ms", "10", "--cart-age-ms", "300"]);
        let address = service.address;
        let cart = request("POST", "/carts", "", r#"{"customer":"ann@shop.example"}"#);
        let (status, id) = ask(address, &cart).await.unwrap();
        assert_eq!(status, 201);
        let mut placed: serde_json::Value =
            serde_json::from_str(&order("a", "ann@shop.example", 1)).unwrap();
        placed["cart"] = json!(id.parse::<i64>().unwrap());
        let post = request("POST", "/orders", "", &placed.to_string());
        assert_eq!(ask(address, &post).await.unwrap().0, 201);
        assert_eq!(get(address, "/carts").await.1, "0");
        assert_eq!(ask(address, &cart).await.unwrap().0, 201);
        until(async || get(address, "/carts").await.1 == "0").await;
        let ended = service.stop().await;
        assert!(
            ended.stderr.contains("1 abandoned carts removed"),
            "{}",
            ended.stderr
        );
    });
}

#[test]
fn what_runs_is_shown_as_text_and_as_a_picture() {
    run("debug", async |path| {
        let service = Service::start(&path, &[]);
        let address = service.address;
        let post = request(
            "POST",
            "/orders",
            "",
            &order("long", "ann@shop.example", LONG),
        );
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&post).await.unwrap();
        until(async || stat(address, "open_transactions").await == 1).await;
        let (text, picture) = tokio::join!(
            get(address, "/debug/tasks"),
            get(address, "/debug/tasks.svg")
        );
        for name in [
            "main",
            "orders",
            "outbox",
            "http",
            "requests",
            "connections",
            "POST /orders",
        ] {
            assert!(text.1.contains(name), "no `{name}` in\n{}", text.1);
            assert!(picture.1.contains(name), "no `{name}` in\n{}", picture.1);
        }
        assert!(picture.1.starts_with("<svg ") && picture.1.ends_with("</svg>"));
        assert_eq!(answer(&mut client).await.unwrap().0, 201);
        service.stop().await;
    });
}

#[test]
fn told_to_stop_it_answers_what_has_begun_and_accepts_nothing_new() {
    run("sigterm", async |path| {
        let service = Service::start(&path, &[]);
        let address = service.address;
        let post = request(
            "POST",
            "/orders",
            "",
            // Begun when it is told to stop, and done within its time also where the machine is busy.
            &order("last", "ann@shop.example", LONG / 4),
        );
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&post).await.unwrap();
        until(async || stat(address, "open_transactions").await == 1).await;
        service.send(Signal::TERM);
        until(async || TcpStream::connect(address).await.is_err()).await;
        assert_eq!(answer(&mut client).await.unwrap().0, 201);
        service.wait().await.clean();
        database::check(&path).await;
        database::has_all(&path, &["last".to_owned()]).await;
    });
}

#[test]
fn a_half_sent_request_is_nobodys_loss() {
    run("half", async |path| {
        let service = Service::start(&path, &[]);
        let post = request(
            "POST",
            "/orders",
            "",
            &order("half", "ann@shop.example", 100),
        );
        cut_off(service.address, &post, post.len() / 2, Duration::ZERO)
            .await
            .unwrap();
        let ended = service.stop().await;
        assert!(ended.stderr.contains("0 lost"), "{}", ended.stderr);
        database::check(&path).await;
    });
}
