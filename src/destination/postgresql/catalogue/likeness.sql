-- What gives table $2 (a name in the same schema), made LIKE table $1 (oid) with its columns, what that one has beside its rows; with
-- the index of merges by a key where $3 is 'kept'.
--
-- step 1: onto the empty table; 2: once its rows are there; 3: when nobody else may touch the old table; 4: when that one is gone.
-- Until then what is unique in a schema has names of its own: step 0 lists them, each with the final one as `name`. Step 5 runs nothing:
-- it is what the columns were when the successor was made like them.
WITH this AS (
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, $2) AS staged, format('%I.%I', n.nspname, c.relname) AS live,
        coalesce((SELECT spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace), '') AS spcname, to_regclass(format('%I.%I', n.nspname,
            $2)) AS successor
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid
), columns AS (
    SELECT a.* FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
), indexes AS (
    SELECT k.oid, k.relname AS name, $2 || '_i' || row_number() OVER (ORDER BY k.oid) AS own, k.reltablespace, i.indisunique,
        i.indisclustered, i.indisreplident,
        coalesce((SELECT spcname FROM pg_tablespace t WHERE t.oid = k.reltablespace), '') AS spcname, pg_get_indexdef(k.oid) AS def,
        con.contype, con.oid AS con, pg_get_constraintdef(con.oid) AS condef, con.condeferrable, con.condeferred
    FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid
    LEFT JOIN pg_constraint con ON con.conindid = k.oid AND con.conrelid = $1::oid AND con.contype IN ('p', 'u', 'x')
    -- An index of ours belongs to merges by a key: a load by none ($3) leaves it behind.
    WHERE i.indrelid = $1::oid AND ($3 = 'kept' OR k.relname !~ '^_etlsched_key_[0-9a-f]{8}$')
), kinds AS (
    SELECT s.*, $2 || '_x' || row_number() OVER (ORDER BY s.oid) AS own, pg_get_statisticsobjdef(s.oid) AS def FROM pg_statistic_ext s
        WHERE s.stxrelid = $1::oid
), identities AS (
    SELECT k.oid, k.relname AS name, k.relacl, $2 || '_s' || a.attnum AS own, $2 || '_o' || a.attnum AS old, a.attname, a.attidentity, s.*,
        to_regclass(format('%I.%I', this.nspname, $2 || '_s' || a.attnum)) AS successor
    FROM this, columns a JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid
        AND d.refobjsubid = a.attnum AND d.deptype = 'i' JOIN pg_sequence s ON s.seqrelid = d.objid JOIN pg_class k ON k.oid = d.objid
    WHERE a.attidentity <> ''
), rights AS (
    -- Of the table and of each identity's sequence: what it has, what the successor has by default.
    SELECT 'r'::"char" AS kind, staged AS object, coalesce(relacl, acldefault('r', relowner)) AS acl, relacl IS NOT NULL AS is_set,
        (SELECT coalesce(s.relacl, acldefault('r', s.relowner)) FROM pg_class s WHERE s.oid = this.successor) AS fresh FROM this
    UNION ALL
    SELECT 'S', 'SEQUENCE ' || format('%I.%I', this.nspname, i.own), coalesce(i.relacl, acldefault('s', this.relowner)), i.relacl IS NOT NULL,
        (SELECT coalesce(s.relacl, acldefault('s', s.relowner)) FROM pg_class s WHERE s.oid = i.successor) FROM identities i, this
), statements (step, place, number, sql, name) AS (
    SELECT 0, 0, oid::bigint, own, name::text FROM indexes
    UNION ALL SELECT 0, 0, oid::bigint, own, stxname::text FROM kinds
    UNION ALL SELECT 0, 0, oid::bigint, own, name::text FROM identities
    -- 1. The table alone, so that every row meets it.
    UNION ALL SELECT 1, 1, 0, format('SET LOCAL default_tablespace = %L', spcname), NULL FROM this
    UNION ALL SELECT 1, 2, 0, format('CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING COMMENTS EXCLUDING CONSTRAINTS EXCLUDING IDENTITY '
        'EXCLUDING INDEXES EXCLUDING STATISTICS) USING heap', staged, live), NULL FROM this
    UNION ALL SELECT 1, 3, 0, format('ALTER TABLE %s SET (%s)', staged, string_agg(format('%s%s = %L', option.prefix, split_part(option.text, '=', 1),
            substr(option.text, strpos(option.text, '=') + 1)), ', ' ORDER BY option.prefix, option.place)), NULL
        FROM this, LATERAL (
            SELECT '' AS prefix, text, place FROM unnest(this.reloptions) WITH ORDINALITY AS of (text, place)
            UNION ALL SELECT 'toast.', text, place FROM pg_class t, unnest(t.reloptions) WITH ORDINALITY AS of (text, place)
                WHERE t.oid = this.reltoastrelid
        ) AS option GROUP BY staged
    UNION ALL SELECT 1, 4, con.oid::bigint, format('ALTER TABLE %s ADD CONSTRAINT %I %s', staged, conname, pg_get_constraintdef(con.oid)), NULL
        FROM pg_constraint con, this WHERE con.conrelid = $1::oid AND con.contype = 'c'
    -- 2. What is dearer row by row than at once.
    UNION ALL SELECT 2, 1, seqrelid::bigint, format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I START WITH %s '
        'INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s)', staged, attname,
            CASE attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, nspname, own,
        seqstart, seqincrement, seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END), NULL FROM identities, this
    UNION ALL SELECT 2, 2, i.oid::bigint * 4, format('SET LOCAL default_tablespace = %L', i.spcname), NULL FROM indexes i
    UNION ALL SELECT 2, 2, i.oid::bigint * 4 + 1, format('CREATE %sINDEX %I ON %s USING %s', CASE WHEN indisunique THEN 'UNIQUE ' END, own, staged,
            substr(def, 1 + length(format('CREATE %sINDEX %I ON %s USING ', CASE WHEN indisunique THEN 'UNIQUE ' END, name, live)))), NULL
        FROM indexes i, this WHERE contype IS DISTINCT FROM 'x'
    UNION ALL SELECT 2, 2, i.oid::bigint * 4 + 2, format('ALTER TABLE %s ADD CONSTRAINT %I %s', staged, own, CASE contype WHEN 'x' THEN condef
            WHEN 'p' THEN format('PRIMARY KEY USING INDEX %I', own) ELSE format('UNIQUE USING INDEX %I', own) END
            || CASE WHEN contype <> 'x' AND condeferrable THEN ' DEFERRABLE' || CASE WHEN condeferred THEN ' INITIALLY DEFERRED' ELSE '' END ELSE '' END), NULL
        FROM indexes i, this WHERE contype IS NOT NULL
    UNION ALL SELECT 2, 3, i.oid::bigint, format('ALTER TABLE %s CLUSTER ON %I', staged, own), NULL FROM indexes i, this WHERE indisclustered
    UNION ALL SELECT 2, 4, 0, format('ALTER TABLE %s REPLICA IDENTITY %s', staged, CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
            ELSE format('USING INDEX %I', (SELECT own FROM indexes WHERE indisreplident)) END), NULL FROM this WHERE relreplident <> 'd'
    UNION ALL SELECT 2, 5, k.oid::bigint, format('CREATE STATISTICS %I.%I%s FROM %s', nspname, own, substr(def,
        1 + length(format('CREATE STATISTICS %I.%I', nspname, stxname)),
            length(def) - length(format('CREATE STATISTICS %I.%I', nspname, stxname)) - length(' FROM ' || live)), staged), NULL FROM kinds k, this
    UNION ALL SELECT 2, 6, 0, format('ALTER TABLE %s OWNER TO %I', staged, pg_get_userbyid(relowner)), NULL FROM this
        WHERE relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
    UNION ALL SELECT 2, 7, k.oid::bigint, format('ALTER STATISTICS %I.%I OWNER TO %I', nspname, own, pg_get_userbyid(relowner)), NULL
        FROM kinds k, this
        WHERE relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
    -- 3. What may have changed while the rows came.
    UNION ALL SELECT 3, 1, 0, format('REVOKE ALL ON %s FROM %s', object, grantee), NULL FROM (
            SELECT DISTINCT object, CASE WHEN has.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(has.grantee)) END AS grantee
            FROM rights, aclexplode(fresh) has WHERE is_set OR acl <> fresh) AS of
    UNION ALL SELECT 3, 2, given.place, format('GRANT %s ON %s TO %s%s', given.privilege_type, object,
            CASE WHEN given.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(given.grantee)) END,
            CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), NULL
        FROM rights, aclexplode(acl) WITH ORDINALITY AS given (grantor, grantee, privilege_type, is_grantable, place) WHERE is_set OR acl <> fresh
    UNION ALL SELECT 3, 3, attnum * 1000 + given.place, format('GRANT %s (%I) ON %s TO %s%s', given.privilege_type, attname, staged,
            CASE WHEN given.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(given.grantee)) END,
            CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), NULL
        FROM this, columns, aclexplode(attacl) WITH ORDINALITY AS given (grantor, grantee, privilege_type, is_grantable, place)
    UNION ALL SELECT 3, 4, objsubid, CASE objsubid WHEN 0 THEN format('COMMENT ON TABLE %s IS %L', staged, description)
            ELSE format('COMMENT ON COLUMN %s.%I IS %L', staged, attname, description) END, NULL
        FROM this, pg_description d LEFT JOIN columns ON columns.attnum = d.objsubid
        WHERE d.classoid = 'pg_class'::regclass AND d.objoid = $1::oid AND (d.objsubid = 0 OR columns.attnum IS NOT NULL)
    UNION ALL SELECT 3, 4, i.oid::bigint, format('COMMENT ON INDEX %I.%I IS %L', nspname, own, description), NULL
        FROM this, indexes i JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = i.oid AND d.objsubid = 0
    UNION ALL SELECT 3, 4, con.oid::bigint, format('COMMENT ON CONSTRAINT %I ON %s IS %L', coalesce(i.own, conname), staged, description), NULL
        FROM this, pg_constraint con JOIN pg_description d ON d.classoid = 'pg_constraint'::regclass AND d.objoid = con.oid
        LEFT JOIN indexes i ON i.con = con.oid WHERE con.conrelid = $1::oid
    UNION ALL SELECT 3, 4, k.oid::bigint, format('COMMENT ON STATISTICS %I.%I IS %L', nspname, own, description), NULL
        FROM this, kinds k JOIN pg_description d ON d.classoid = 'pg_statistic_ext'::regclass AND d.objoid = k.oid
    UNION ALL SELECT 3, 4, i.seqrelid::bigint, format('COMMENT ON SEQUENCE %I.%I IS %L', nspname, own, description), NULL
        FROM this, identities i JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = i.seqrelid AND d.objsubid = 0
    UNION ALL SELECT 3, 5, attnum, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', staged, attname, attstattarget), NULL FROM columns, this
        WHERE attstattarget >= 0
    UNION ALL SELECT 3, 5, attnum, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', staged, attname, (SELECT string_agg(format('%s = %L',
            split_part(text, '=', 1), substr(text, strpos(text, '=') + 1)), ', ' ORDER BY place) FROM unnest(attoptions) WITH ORDINALITY
                AS of (text, place))), NULL
        FROM columns, this WHERE attoptions IS NOT NULL
    UNION ALL SELECT 3, 6, a.attnum, format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', nspname, own, a.attnum, a.attstattarget), NULL
        FROM this, indexes i JOIN pg_attribute a ON a.attrelid = i.oid AND a.attnum > 0 AND a.attstattarget >= 0
    UNION ALL SELECT 3, 6, k.oid::bigint, format('ALTER STATISTICS %I.%I SET STATISTICS %s', nspname, own, to_jsonb(k) ->> 'stxstattarget'),
        NULL FROM kinds k, this
        WHERE (to_jsonb(k) ->> 'stxstattarget')::integer >= 0
    -- An old identity's sequence loses its name first: nobody takes a number of it from then on.
    UNION ALL SELECT 3, 7, seqrelid::bigint * 2, format('ALTER SEQUENCE %I.%I RENAME TO %I', nspname, name, old), NULL FROM identities, this
    UNION ALL SELECT 3, 7, seqrelid::bigint * 2 + 1, format('SELECT setval(%L::regclass, last_value, is_called) FROM %I.%I', format('%I.%I',
        nspname, own), nspname, old), NULL
        FROM identities, this
    UNION ALL SELECT 3, 8, d.objid::bigint, format('ALTER SEQUENCE %I.%I OWNED BY %s.%I', sn.nspname, s.relname, staged, attname), NULL
        FROM this, columns JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid
            AND d.refobjsubid = columns.attnum AND d.deptype = 'a' JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                JOIN pg_namespace sn ON sn.oid = s.relnamespace
    UNION ALL SELECT 5, 1, 0, (SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, attcollation, attnotnull, attstorage,
            to_jsonb(columns) ->> 'attcompression', attidentity, attgenerated, pg_get_expr(d.adbin, $1::oid)), ', ' ORDER BY attnum)
        FROM columns LEFT JOIN pg_attrdef d ON d.adrelid = $1::oid AND d.adnum = attnum), NULL
    -- 4. The names.
    UNION ALL SELECT 4, 1, i.oid::bigint, CASE WHEN contype IS NULL THEN format('ALTER INDEX %I.%I RENAME TO %I', nspname, own, name)
            ELSE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', staged, own, name) END, NULL FROM indexes i, this
    UNION ALL SELECT 4, 2, k.oid::bigint, format('ALTER STATISTICS %I.%I RENAME TO %I', nspname, own, stxname), NULL FROM kinds k, this
    UNION ALL SELECT 4, 3, seqrelid::bigint, format('ALTER SEQUENCE %I.%I RENAME TO %I', nspname, own, name), NULL FROM identities, this
)
SELECT step, sql, name FROM statements ORDER BY step, place, number, sql
