CREATE TABLE IF NOT EXISTS carts (
    id INTEGER PRIMARY KEY,
    customer TEXT NOT NULL,
    opened INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    total INTEGER NOT NULL,
    placed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS lines (
    order_id TEXT NOT NULL REFERENCES orders (id),
    item TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    price INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS lines_of_order ON lines (order_id);
-- What is yet to be done for an order. Written in the order's own transaction.
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    task TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL,
    UNIQUE (order_id, task)
);
CREATE INDEX IF NOT EXISTS outbox_by_due ON outbox (due);
CREATE TABLE IF NOT EXISTS dead_letters (
    order_id TEXT NOT NULL REFERENCES orders (id),
    task TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (order_id, task)
);
CREATE TABLE IF NOT EXISTS rewards (
    order_id TEXT PRIMARY KEY REFERENCES orders (id),
    customer TEXT NOT NULL,
    points INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    order_id TEXT PRIMARY KEY REFERENCES orders (id),
    customer TEXT NOT NULL
);
