/* leadscore: what other sessions see of long work; see progress.c */

CREATE FUNCTION leadscore_internal.progress_begin(pipeline regnamespace, task text, phase text) RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_progress_start';
COMMENT ON FUNCTION leadscore_internal.progress_begin(regnamespace, text, text) IS
	'work on a pipeline begins, and other sessions see it; true if it is not part of other work';

CREATE FUNCTION leadscore_internal.progress_next(phase text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_progress_next';
COMMENT ON FUNCTION leadscore_internal.progress_next(text) IS
	'another phase of the work begins';

CREATE FUNCTION leadscore_internal.progress_end(outermost boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_progress_finish';
COMMENT ON FUNCTION leadscore_internal.progress_end(boolean) IS
	'the work is over; takes what progress_begin() returned';

CREATE FUNCTION leadscore_internal.progress_task(number integer) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_progress_task';
COMMENT ON FUNCTION leadscore_internal.progress_task(integer) IS
	'name of work that may take long; NULL if no work has this number';

CREATE FUNCTION leadscore_internal.progress_phase(number integer) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_progress_phase_name';
COMMENT ON FUNCTION leadscore_internal.progress_phase(integer) IS
	'what work does at a time, in words; NULL if no phase has this number';

-- The locks of a phase that is complete. While a session puts one number or one
-- phase in the place of another, both are there.
CREATE VIEW leadscore.progress WITH (security_invoker = true) AS
	WITH shown AS (
		SELECT l.pid, (l.objsubid::integer & 255) >> 3 AS serial, l.objsubid::integer & 7 AS number,
			l.classid::bigint << 32 | l.objid::bigint AS value
		FROM pg_catalog.pg_locks l
		WHERE l.locktype = 'userlock' AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
			AND l.mode = 'AccessShareLock' AND l.granted AND l.pid IS NOT NULL AND l.objsubid::integer >> 8 = 76
	), phase AS (
		SELECT s.pid,
			pg_catalog.max(s.value) FILTER (WHERE s.number = 0) AS work,
			pg_catalog.max(s.value) FILTER (WHERE s.number = 1) AS started,
			pg_catalog.max(s.value) FILTER (WHERE s.number = 2) AS phase_started,
			pg_catalog.max(s.value) FILTER (WHERE s.number = 3) AS done,
			pg_catalog.max(s.value) FILTER (WHERE s.number = 4) AS total
		FROM shown s
		GROUP BY s.pid, s.serial
		HAVING pg_catalog.count(DISTINCT s.number) = 5
	), newest AS (
		SELECT DISTINCT ON (p.pid) p.pid, (p.work >> 32)::oid AS schema_oid,
			leadscore_internal.progress_task((p.work >> 16 & 65535)::integer) AS task,
			leadscore_internal.progress_phase((p.work & 65535)::integer) AS phase,
			timestamptz '2000-01-01 00:00:00+00' + p.started * interval '1 microsecond' AS started_at,
			timestamptz '2000-01-01 00:00:00+00' + p.phase_started * interval '1 microsecond' AS phase_started_at,
			p.done, NULLIF(p.total, -1) AS total
		FROM phase p
		ORDER BY p.pid, p.phase_started DESC
	)
	SELECT w.pid, n.nspname::text AS pipeline, w.task, w.phase,
		CASE WHEN w.done > 0 OR w.total IS NOT NULL THEN w.done END AS done,
		w.total,
		CASE WHEN w.total > 0 THEN LEAST(100 * w.done / w.total, 100)::integer END AS percent,
		w.started_at, w.phase_started_at,
		CASE WHEN w.done < w.total AND 20 * w.done >= w.total
			THEN w.phase_started_at + (pg_catalog.clock_timestamp() - w.phase_started_at) * (w.total::double precision / w.done) END AS phase_ends_at
	FROM newest w
		JOIN pg_catalog.pg_namespace n ON n.oid = w.schema_oid
	WHERE pg_catalog.has_schema_privilege(w.schema_oid, 'USAGE');
COMMENT ON VIEW leadscore.progress IS
	'long work that is going on now in pipelines whose schema the current role may use: one row for each session at work';
COMMENT ON COLUMN leadscore.progress.pid IS 'the session, as in pg_stat_activity; pg_cancel_backend(pid) ends its work, which then leaves nothing behind';
COMMENT ON COLUMN leadscore.progress.pipeline IS 'name of the pipeline';
COMMENT ON COLUMN leadscore.progress.task IS 'name of the function that was called';
COMMENT ON COLUMN leadscore.progress.phase IS 'what it does now';
COMMENT ON COLUMN leadscore.progress.done IS 'how much of the phase is done: leads, events or rows; NULL if nothing is counted';
COMMENT ON COLUMN leadscore.progress.total IS 'how much there is to do in this phase; NULL: unknown';
COMMENT ON COLUMN leadscore.progress.percent IS 'done as a percentage of total; NULL: unknown';
COMMENT ON COLUMN leadscore.progress.started_at IS 'when the work began';
COMMENT ON COLUMN leadscore.progress.phase_started_at IS 'when the phase began';
COMMENT ON COLUMN leadscore.progress.phase_ends_at IS 'when the phase ends if it goes on as fast; NULL before a twentieth of it is done, and if nobody knows how much there is';

GRANT SELECT ON leadscore.progress TO PUBLIC;
