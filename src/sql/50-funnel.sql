/* Event funnels: how far a lead got through steps, from its events */

CREATE FUNCTION leadscore.window_funnel_transfn(bytea, timestamptz, interval, text, VARIADIC boolean[]) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_window_funnel_transfn';
COMMENT ON FUNCTION leadscore.window_funnel_transfn(bytea, timestamptz, interval, text, boolean[]) IS
	'support function of the funnel aggregates without an exclusion: adds a row';
CREATE FUNCTION leadscore.window_funnel_except_transfn(bytea, timestamptz, interval, text, boolean, int, int, VARIADIC boolean[]) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_window_funnel_except_transfn';
COMMENT ON FUNCTION leadscore.window_funnel_except_transfn(bytea, timestamptz, interval, text, boolean, int, int, boolean[]) IS
	'support function of window_funnel_except: adds a row';
CREATE FUNCTION leadscore.window_funnel_combinefn(bytea, bytea) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_window_funnel_combinefn';
COMMENT ON FUNCTION leadscore.window_funnel_combinefn(bytea, bytea) IS
	'support function of the funnel aggregates: joins two states';
CREATE FUNCTION leadscore.window_funnel_finalfn(bytea) RETURNS int
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_window_funnel_finalfn';
COMMENT ON FUNCTION leadscore.window_funnel_finalfn(bytea) IS
	'support function of window_funnel and window_funnel_except: the level';
CREATE FUNCTION leadscore.funnel_times_finalfn(bytea) RETURNS timestamptz[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_funnel_times_finalfn';
COMMENT ON FUNCTION leadscore.funnel_times_finalfn(bytea) IS
	'support function of funnel_times: the times of the chain';
CREATE FUNCTION leadscore.funnel_attempts_finalfn(bytea) RETURNS int[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_funnel_attempts_finalfn';
COMMENT ON FUNCTION leadscore.funnel_attempts_finalfn(bytea) IS
	'support function of funnel_attempts: the levels of the attempts';
CREATE FUNCTION leadscore.funnel_attempt_ends_finalfn(bytea) RETURNS timestamptz[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_funnel_attempt_ends_finalfn';
COMMENT ON FUNCTION leadscore.funnel_attempt_ends_finalfn(bytea) IS
	'support function of funnel_attempt_ends: the ends of the attempts';

CREATE AGGREGATE leadscore.window_funnel(at timestamptz, within interval, mode text, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.window_funnel_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.window_funnel(timestamptz, interval, text, boolean[]) IS
	'the largest k such that there are distinct rows e1 .. ek, row ei satisfying step i, each not before the one before, the last at most within after the first. Rows at one instant may be taken in any order; the best attempt counts; 0 if nothing satisfies step 1 (mode any: no step) or there are no rows. Mode ordered: just that; increase: each later than the one before; strict: no other row of the group between them; any: the largest number of different steps satisfied by distinct rows, in whatever order, within one window. A step that is NULL is not satisfied; a row whose time is NULL is passed over. within is fixed: days are 24 hours, months are refused';

CREATE AGGREGATE leadscore.funnel_times(at timestamptz, within interval, mode text, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.funnel_times_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.funnel_times(timestamptz, interval, text, boolean[]) IS
	'the times of the steps that window_funnel counts, as many as it says, ascending (in mode any whatever steps they are of). Of all chains of that length it is the one that is complete first, of those the one that started last, and then every step as early as it can be. An empty array if there is none';

CREATE AGGREGATE leadscore.funnel_attempts(at timestamptz, within interval, mode text, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.funnel_attempts_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.funnel_attempts(timestamptz, interval, text, boolean[]) IS
	'the levels of all attempts, in the order of time; the greatest of them is what window_funnel says. An attempt begins with a row that satisfies step 1 (mode any: some step) while no attempt is open. Such rows in it open windows of their own in the same attempt. It ends at the first instant at which all steps are done, and takes in all rows of that instant; else when its last window is over';

CREATE AGGREGATE leadscore.funnel_attempt_ends(at timestamptz, within interval, mode text, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.funnel_attempt_ends_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.funnel_attempt_ends(timestamptz, interval, text, boolean[]) IS
	'for each attempt of funnel_attempts the instant at which it was complete, or else at which its last window is over: until then it may still get further; infinity if that is out of range';

CREATE AGGREGATE leadscore.window_funnel_except(at timestamptz, within interval, mode text, exclude boolean, from_step int, to_step int, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_except_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.window_funnel_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.window_funnel_except(timestamptz, interval, text, boolean, int, int, boolean[]) IS
	'window_funnel without attempts that have an excluded row between two steps. All chains that begin at one instant are one attempt. A chain that got to from_step is void if an excluded row lies after its from_step and before its to_step, or, if it did not get to to_step, after its from_step and within its window; both strictly, as rows at one instant may be taken in any order. An attempt that got to from_step counts for the longest chain that got there and is not void, for nothing if all are void; the best attempt counts. Mode any allows an exclusion from the first to the last step only';

CREATE FUNCTION leadscore_internal.event_funnel_transfn(internal, text, timestamptz, interval, text, text[]) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_event_funnel_transfn';
COMMENT ON FUNCTION leadscore_internal.event_funnel_transfn(internal, text, timestamptz, interval, text, text[]) IS
	'support function of event_funnel: adds a row';
CREATE FUNCTION leadscore_internal.event_funnel_combinefn(internal, internal) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_event_funnel_combinefn';
COMMENT ON FUNCTION leadscore_internal.event_funnel_combinefn(internal, internal) IS
	'support function of event_funnel: joins two states';
CREATE FUNCTION leadscore_internal.event_funnel_serialfn(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_event_funnel_serialfn';
COMMENT ON FUNCTION leadscore_internal.event_funnel_serialfn(internal) IS
	'support function of event_funnel: a state as bytes';
CREATE FUNCTION leadscore_internal.event_funnel_deserialfn(bytea, internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_event_funnel_deserialfn';
COMMENT ON FUNCTION leadscore_internal.event_funnel_deserialfn(bytea, internal) IS
	'support function of event_funnel: a state from its bytes';
CREATE FUNCTION leadscore_internal.event_funnel_finalfn(internal) RETURNS int
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_event_funnel_finalfn';
COMMENT ON FUNCTION leadscore_internal.event_funnel_finalfn(internal) IS
	'support function of event_funnel: the level';

CREATE AGGREGATE leadscore.event_funnel(kind text, at timestamptz, within interval, mode text, steps text[]) (
	SFUNC = leadscore_internal.event_funnel_transfn, STYPE = internal, SSPACE = 144,
	COMBINEFUNC = leadscore_internal.event_funnel_combinefn,
	SERIALFUNC = leadscore_internal.event_funnel_serialfn, DESERIALFUNC = leadscore_internal.event_funnel_deserialfn,
	FINALFUNC = leadscore_internal.event_funnel_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.event_funnel(text, timestamptz, interval, text, text[]) IS
	'the same as window_funnel where step i is satisfied by rows whose kind is steps[i], to the byte whatever the collation; faster, as the kind of a row is looked up once. A kind that is NULL is no step; a step may not be NULL';

CREATE FUNCTION leadscore.activity_funnel(activity leadscore.lead_activity, within interval, signals int[]) RETURNS int
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', 'leadscore_activity_funnel';
COMMENT ON FUNCTION leadscore.activity_funnel(leadscore.lead_activity, interval, int[]) IS
	'the same as window_funnel in mode ordered over the events that an activity has counted, if they happen at the beginning of their UTC day or hour and step i is satisfied by counts of signals[i]: no event is read. Counts without a time are passed over, a count of n is n events. NULL if the activity is NULL';
