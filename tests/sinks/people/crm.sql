-- A CRM in Spanish, with companies, and a table of Chinese customers in pinyin.
-- Every person is invented; what names one has quimera, 600731 or 203.0.113 in it.

CREATE TABLE empresas (id bigint PRIMARY KEY, razon_social text NOT NULL, telefono text);
CREATE TABLE clientes (id bigint PRIMARY KEY, nombre text, apellidos text, correo_electronico text, movil text,
    "dni" text, "FechaNacimiento" date, empresa_id bigint REFERENCES empresas (id),
    fecha_alta timestamptz NOT NULL DEFAULT now());
CREATE TABLE llamadas (id bigint PRIMARY KEY, cliente_id bigint NOT NULL REFERENCES clientes (id) ON DELETE CASCADE,
    nota text, hecha timestamptz);
CREATE TABLE facturas (id bigint PRIMARY KEY, cliente_id bigint REFERENCES clientes (id), importe numeric);
CREATE TABLE yonghu (id bigint PRIMARY KEY, xingming text, shouji text, youxiang text, sfzh text);
INSERT INTO empresas SELECT n, 'Sociedad ' || n, '+34 600731' || lpad(n::text, 3, '0') FROM generate_series(1, 9) AS n;
INSERT INTO clientes (id, nombre, apellidos, correo_electronico, movil, dni, "FechaNacimiento", empresa_id)
    SELECT n, 'Eva', 'Quimera', 'quimera.' || n || '@example.es', '600731' || lpad(n::text, 3, '0'),
        lpad(n::text, 8, '0') || substr('TRWAGMYFPDXBNJZSQVHLCKE', n % 23 + 1, 1), '1980-01-01', 1 + n % 9
    FROM generate_series(1, 40) AS n;
INSERT INTO llamadas SELECT n, 1 + n % 40, 'Pide que se llame a Quimera', now() FROM generate_series(1, 20) AS n;
INSERT INTO facturas SELECT n, 1 + n % 40, n FROM generate_series(1, 20) AS n;
INSERT INTO yonghu SELECT n, '奎梅拉', '13800731' || lpad(n::text, 3, '0'), 'quimera.' || n || '@example.cn', NULL
    FROM generate_series(1, 12) AS n;
