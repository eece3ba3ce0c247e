/* leadscore: schemas of the extension */

\echo Use "CREATE EXTENSION leadscore" to load this file. \quit

-- Created here, not by the control file: so the schemas are members of the
-- extension, and nobody can have put objects into them before.
CREATE SCHEMA leadscore;
CREATE SCHEMA leadscore_internal;

COMMENT ON SCHEMA leadscore IS
	'lead scoring: types, functions and aggregates of the extension leadscore';

GRANT USAGE ON SCHEMA leadscore TO PUBLIC;

COMMENT ON SCHEMA leadscore_internal IS
	'lead scoring: helpers that the functions, views and triggers of pipelines call, and users do not';

GRANT USAGE ON SCHEMA leadscore_internal TO PUBLIC;
