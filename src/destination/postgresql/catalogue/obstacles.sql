-- Why another table can't take the place of table $1 (oid) so that everything is as before; no row where it can.
-- $2: JSON array of the columns that the load fills without changing their types.
--
-- Parts are what would go with the table: what the catalogue notes as its own (deptype i and a), at any depth. Only kinds that
-- likeness.sql gives to the successor may be among them, and nothing else may depend on one of them.
WITH RECURSIVE this AS (
    SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid
), owned AS (
    -- Sequences of serial columns are given to the successor's.
    SELECT d.objid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND d.deptype = 'a'
), parts (classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, $1::oid
    UNION
    SELECT d.classid, d.objid FROM pg_depend d JOIN parts p ON d.refclassid = p.classid AND d.refobjid = p.objid
    WHERE d.deptype IN ('i', 'a') AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT objid FROM owned))
), relations AS (
    SELECT k.* FROM pg_class k JOIN parts p ON p.classid = 'pg_class'::regclass AND p.objid = k.oid
), columns AS (
    SELECT a.* FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
), checks AS (
    SELECT 'it is a partition, partitioned, unlogged or of a type of its own' AS obstacle FROM this
        WHERE relkind <> 'r' OR relispartition OR relpersistence <> 'p' OR reloftype <> 0
        OR relam <> (SELECT oid FROM pg_am WHERE amname = 'heap')
    UNION ALL SELECT 'row level security' FROM this WHERE relrowsecurity OR relforcerowsecurity
    UNION ALL SELECT 'inheritance' FROM pg_inherits WHERE inhrelid = $1::oid OR inhparent = $1::oid
    UNION ALL SELECT 'its owner' FROM this
        WHERE NOT pg_has_role(relowner, 'USAGE') OR (relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) AND NOT (
            has_schema_privilege(relowner, relnamespace, 'CREATE')
            AND pg_has_role(relowner, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)))
    UNION ALL SELECT 'the right to make tables in its schema' FROM this WHERE NOT has_schema_privilege(relnamespace, 'CREATE')
    UNION ALL SELECT 'the right to a tablespace' FROM relations WHERE reltablespace <> 0 AND NOT has_tablespace_privilege(reltablespace, 'CREATE')
    UNION ALL SELECT 'the right to a type' FROM columns WHERE NOT has_type_privilege(atttypid, 'USAGE')
    UNION ALL SELECT 'the right to a function' FROM pg_depend d JOIN parts p USING (classid, objid)
        WHERE d.refclassid = 'pg_proc'::regclass AND NOT has_function_privilege(d.refobjid, 'EXECUTE')
    UNION ALL SELECT 'grants by others than its owner' FROM this, relations r, aclexplode(r.relacl) acl WHERE acl.grantor <> this.relowner
    UNION ALL SELECT 'grants by others than its owner' FROM this, columns, aclexplode(columns.attacl) acl WHERE acl.grantor <> this.relowner
    UNION ALL SELECT 'grants on its row type' FROM pg_type t JOIN parts p ON p.classid = 'pg_type'::regclass AND p.objid = t.oid
        WHERE t.typacl IS NOT NULL
    UNION ALL SELECT 'security labels' FROM pg_seclabel l JOIN parts p ON p.classid = l.classoid AND p.objid = l.objoid
    UNION ALL SELECT 'a comment on a part of it' FROM pg_description d JOIN parts p ON p.classid = d.classoid AND p.objid = d.objoid
        LEFT JOIN relations r ON d.classoid = 'pg_class'::regclass AND r.oid = d.objoid
        WHERE d.classoid NOT IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_statistic_ext'::regclass)
        OR (d.classoid = 'pg_class'::regclass AND (r.relkind NOT IN ('r', 'i', 'S') OR (r.relkind <> 'r' AND d.objsubid <> 0)))
    UNION ALL SELECT 'a publication' FROM this JOIN pg_publication_tables t ON t.schemaname = this.nspname AND t.tablename = this.relname
    UNION ALL SELECT 'a subscription' FROM pg_subscription_rel WHERE srrelid = $1::oid
    UNION ALL SELECT 'an extension' FROM pg_depend d JOIN parts p USING (classid, objid)
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype IN ('e', 'x')
    UNION ALL SELECT 'something that depends on it' FROM pg_depend d JOIN parts p ON p.classid = d.refclassid AND p.objid = d.refobjid
        WHERE NOT EXISTS (SELECT FROM parts q WHERE q.classid = d.classid AND q.objid = d.objid)
        AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT objid FROM owned))
    UNION ALL SELECT 'a part of a kind that stays' FROM parts p
        LEFT JOIN relations r ON p.classid = 'pg_class'::regclass AND r.oid = p.objid
        LEFT JOIN pg_constraint k ON p.classid = 'pg_constraint'::regclass AND k.oid = p.objid
        WHERE NOT coalesce(CASE p.classid
            WHEN 'pg_class'::regclass THEN r.oid = $1::oid OR r.relkind IN ('i', 't', 'S')
            WHEN 'pg_constraint'::regclass THEN k.contype IN ('c', 'p', 'u', 'x') AND k.conrelid = $1::oid AND k.conislocal
                AND k.coninhcount = 0 AND coalesce(to_jsonb(k) ->> 'conperiod', 'false') = 'false'
            -- What looks at deferrable keys at the end comes with the key.
            WHEN 'pg_trigger'::regclass THEN EXISTS (SELECT FROM pg_trigger t JOIN pg_constraint c ON c.oid = t.tgconstraint
                WHERE t.oid = p.objid AND t.tgisinternal AND c.conrelid = $1::oid AND c.contype IN ('p', 'u', 'x'))
            ELSE p.classid IN ('pg_type'::regclass, 'pg_attrdef'::regclass, 'pg_statistic_ext'::regclass) END, false)
    UNION ALL SELECT 'an index that is not valid' FROM pg_index WHERE indrelid = $1::oid AND NOT (indisvalid AND indisready AND indislive)
    UNION ALL SELECT 'an index that is defined otherwise than known' FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid, this
        WHERE i.indrelid = $1::oid AND NOT starts_with(pg_get_indexdef(i.indexrelid), format('CREATE %sINDEX %I ON %I.%I USING ',
            CASE WHEN i.indisunique THEN 'UNIQUE ' END, k.relname, this.nspname, this.relname))
    UNION ALL SELECT 'statistics of others' FROM pg_statistic_ext s, this WHERE s.stxrelid = $1::oid
        AND (s.stxnamespace <> this.relnamespace OR s.stxowner <> this.relowner
            OR NOT starts_with(pg_get_statisticsobjdef(s.oid), format('CREATE STATISTICS %I.%I', this.nspname, s.stxname))
            OR right(pg_get_statisticsobjdef(s.oid), length(format(' FROM %I.%I', this.nspname, this.relname)))
                <> format(' FROM %I.%I', this.nspname, this.relname))
    UNION ALL SELECT 'an identity column that the load does not fill' FROM columns WHERE attidentity <> '' AND NOT $2::jsonb ? attname::text
    UNION ALL SELECT 'the sequence of an identity column' FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refobjid = $1::oid AND d.deptype = 'i'
        JOIN columns ON columns.attnum = d.refobjsubid WHERE r.relpersistence <> 'p' OR s.seqtypid <> columns.atttypid
    UNION ALL SELECT 'options of a column' FROM columns WHERE attfdwoptions IS NOT NULL OR NOT attislocal OR attinhcount <> 0
    -- What names the table itself would go on naming the old one: whole rows, system columns, its oid, its identity's sequence.
    UNION ALL SELECT 'an expression that names the table' FROM (
            SELECT indexprs::text AS tree FROM pg_index WHERE indrelid = $1::oid
            UNION ALL SELECT indpred::text FROM pg_index WHERE indrelid = $1::oid
            UNION ALL SELECT conbin::text FROM pg_constraint WHERE conrelid = $1::oid
            UNION ALL SELECT to_jsonb(s) ->> 'stxexprs' FROM pg_statistic_ext s WHERE s.stxrelid = $1::oid
            UNION ALL SELECT d.adbin::text FROM pg_attrdef d JOIN columns ON columns.attnum = d.adnum AND columns.attgenerated <> ''
                WHERE d.adrelid = $1::oid) AS trees
        WHERE tree ~ ':varattno (0|-)' OR tree LIKE '%:consttype 2205 %'
    UNION ALL SELECT 'a default that names the table' FROM pg_depend d JOIN parts p USING (classid, objid)
        LEFT JOIN relations r ON r.oid = d.refobjid
        WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
        AND ((d.refobjid = $1::oid AND d.refobjsubid = 0) OR r.relkind = 'S')
)
SELECT DISTINCT obstacle FROM checks ORDER BY obstacle
