CREATE TABLE items (name text PRIMARY KEY, price integer NOT NULL);
CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL REFERENCES items, price integer NOT NULL);
INSERT INTO items VALUES ('tea', 3), ('cake', 4);
