/* leadscore: schema of the extension */

\echo Use "CREATE EXTENSION leadscore" to load this file. \quit

-- Created here, not by the control file: so the schema is a member of the
-- extension, and nobody can have put objects into it before.
CREATE SCHEMA leadscore;

COMMENT ON SCHEMA leadscore IS
	'lead scoring: types, functions and aggregates of the extension leadscore';

GRANT USAGE ON SCHEMA leadscore TO PUBLIC;
