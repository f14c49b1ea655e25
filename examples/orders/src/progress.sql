SELECT
    total,
    EXISTS (SELECT 1 FROM rewards WHERE order_id = orders.id),
    EXISTS (SELECT 1 FROM messages WHERE order_id = orders.id),
    (SELECT count(*) FROM dead_letters WHERE order_id = orders.id)
FROM orders WHERE id = ?
