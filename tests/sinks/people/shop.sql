-- A shop: addresses that several share, orders, a form on the website, staff who change products, a log by type and id.
-- Every person is invented; what names one has quimera, 600731 or 203.0.113 in it.

CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE addresses (id bigint PRIMARY KEY, street text NOT NULL, city text, postcode text,
    country text REFERENCES countries (code));
CREATE TABLE customers (id bigint PRIMARY KEY, customer_no text NOT NULL UNIQUE, email text NOT NULL, phone text,
    full_name text, address_id bigint REFERENCES addresses (id), newsletter boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL, description text, price numeric NOT NULL,
    ean text, updated_by bigint REFERENCES customers (id));
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers (id),
    number text NOT NULL, total numeric NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE order_lines (order_id bigint NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    product_id bigint NOT NULL REFERENCES products (id), quantity int NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE carts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id bigint REFERENCES customers (id), content jsonb);
CREATE TABLE contact_form (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers (id),
    reply_to text NOT NULL, message text NOT NULL, ip inet, sent_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE audit_log (id bigint PRIMARY KEY, subject_type text NOT NULL, subject_id bigint NOT NULL, what text);
INSERT INTO countries VALUES ('ES', 'Spain'), ('CN', 'China');
INSERT INTO addresses SELECT n, 'Calle Quimera ' || n, 'Quimeraville', '28' || lpad(n::text, 3, '0'), 'ES'
    FROM generate_series(1, 40) AS n;
INSERT INTO customers (id, customer_no, email, phone, full_name, address_id)
    SELECT n, 'C-' || n, 'quimera.' || n || '@example.es', '+34 600731' || lpad(n::text, 3, '0'),
        'Ana Quimera ' || n, 1 + n % 40 FROM generate_series(1, 60) AS n;
INSERT INTO products SELECT n, 'Lamp ' || n, 'A lamp for the table', n * 1.5, lpad((n * 7919)::text, 13, '0')
    FROM generate_series(1, 50) AS n;
INSERT INTO orders (id, customer_id, number, total) SELECT n, 1 + n % 60, '2026-' || lpad(n::text, 6, '0'), n
    FROM generate_series(1, 80) AS n;
INSERT INTO order_lines SELECT n, 1 + n % 50, 1 FROM generate_series(1, 80) AS n;
INSERT INTO contact_form (id, customer_id, reply_to, message, ip) SELECT n, NULLIF(n % 60, 0),
    'quimera.' || n || '@example.es', 'Please call Ana Quimera', ('203.0.113.' || n)::inet
    FROM generate_series(1, 30) AS n;
INSERT INTO audit_log SELECT n, 'Customer', n, 'changed' FROM generate_series(1, 20) AS n;
