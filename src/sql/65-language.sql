/* The language of the functions of pipelines that apps call */

-- A function that goes by its own schema has to be in C, and only a superuser
-- may create one of language c: no owner of a pipeline could restore a dump.
CREATE FUNCTION leadscore_internal.call_handler() RETURNS language_handler
	LANGUAGE c AS 'MODULE_PATHNAME', 'leadscore_call_handler';
REVOKE EXECUTE ON FUNCTION leadscore_internal.call_handler() FROM PUBLIC;
COMMENT ON FUNCTION leadscore_internal.call_handler() IS
	'handler of language leadscore: runs the function of the library that the body names, on the pipeline in whose schema it is';

CREATE FUNCTION leadscore_internal.validator(function oid) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'leadscore_validator';
REVOKE EXECUTE ON FUNCTION leadscore_internal.validator(oid) FROM PUBLIC;
COMMENT ON FUNCTION leadscore_internal.validator(oid) IS
	'validator of language leadscore: a function must be declared as the one that its body names has to be';

CREATE TRUSTED LANGUAGE leadscore HANDLER leadscore_internal.call_handler VALIDATOR leadscore_internal.validator;
COMMENT ON LANGUAGE leadscore IS
	'functions of pipelines that find their pipeline by their own schema, such as track()';
